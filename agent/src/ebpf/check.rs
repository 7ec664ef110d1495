//! Would the kernel take our programs? Loads each without attaching or pinning anything; for `weft check`.

use aya::{
    EbpfLoader,
    programs::{CgroupSockAddr, Program, SkLookup},
};

use super::{EbpfError, object};

/// What the kernel said to one program.
#[derive(Debug)]
pub struct ProgramCheck {
    /// Its name in the object.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Accepted, or why not.
    pub result: Result<(), EbpfError>,
}

const PROGRAMS: [(&str, &str); 3] = [
    ("weft_connect4", "marks IPv4 connections of enrolled pods"),
    ("weft_connect6", "marks IPv6 connections of enrolled pods"),
    ("weft_lookup", "brings marked connections to the agent"),
];

/// Is the object part of this binary? Its size in bytes.
///
/// # Errors
/// [`EbpfError::NotEmbedded`].
pub fn embedded() -> Result<usize, EbpfError> {
    Ok(object::bytes()?.len())
}

/// Loads every program once.
///
/// # Errors
/// When the object as a whole, or one of its maps, is refused.
pub fn probe_load() -> Result<Vec<ProgramCheck>, EbpfError> {
    let mut ebpf = EbpfLoader::new().load(object::bytes()?)?;
    let check = |(name, purpose)| {
        let result = ebpf.program_mut(name).ok_or(EbpfError::Missing(name)).and_then(|program| load(name, program));
        ProgramCheck { name, purpose, result }
    };
    Ok(PROGRAMS.into_iter().map(check).collect())
}

fn load(name: &'static str, program: &mut Program) -> Result<(), EbpfError> {
    let loaded = match program {
        Program::SkLookup(_) => <&mut SkLookup>::try_from(program).and_then(SkLookup::load),
        _ => <&mut CgroupSockAddr>::try_from(program).and_then(CgroupSockAddr::load),
    };
    loaded.map_err(|source| EbpfError::Program { program: name, source })
}
