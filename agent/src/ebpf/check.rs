//! Would the kernel take our programs? Loads each without attaching or pinning anything; for `weft check`.

use aya::{
    EbpfLoader,
    programs::{CgroupSockAddr, Program, ProgramError, SkLookup},
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
    pub result: Result<(), Refused>,
}

/// Why the kernel refused a program.
#[derive(Debug)]
pub struct Refused {
    /// In a line.
    pub reason: String,
    /// The end of the verifier's log, empty when there is none.
    pub verifier: String,
}

/// Lines of the verifier's log that are kept: the last ones say what it did not like.
const VERIFIER_LINES: usize = 12;

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
        let result = match ebpf.program_mut(name) {
            Some(program) => load(program).map_err(|error| refused(&error)),
            None => Err(Refused { reason: EbpfError::Missing(name).to_string(), verifier: String::new() }),
        };
        ProgramCheck { name, purpose, result }
    };
    Ok(PROGRAMS.into_iter().map(check).collect())
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SkLookup(_) => <&mut SkLookup>::try_from(program).and_then(SkLookup::load),
        _ => <&mut CgroupSockAddr>::try_from(program).and_then(CgroupSockAddr::load),
    }
}

fn refused(error: &ProgramError) -> Refused {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return Refused { reason: error.to_string(), verifier: String::new() };
    };
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let end = lines.get(lines.len().saturating_sub(VERIFIER_LINES)..).unwrap_or_default();
    Refused { reason: format!("refused: {io_error}"), verifier: end.join("\n") }
}
