//! The node-wide half: shared maps and the connect hooks on the root cgroup.

use std::{
    fs::File,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, LpmTrie, Map, MapData, PerCpuArray, SkStorage, SockHash},
    programs::{CgroupAttachMode, CgroupSockAddr, links::FdLink},
};
use weft_ebpf_common::{
    Address, ExemptKind, KubeletKey, KubeletRecord, ListenerKey, LocalKey, NetKey, PodRecord, PortKey, ProbedPod,
};

use super::{EbpfError, object, pin::PinDirectory};
use crate::dataplane::Exempt;

/// Maps that all programs share, by pin.
const MAPS: [&str; 11] = [
    "PODS",
    "LISTENERS",
    "EXCLUDED_PORTS",
    "EXCLUDED_NETS",
    "INCLUDED_NETS",
    "LOCAL",
    "EXEMPT",
    "KUBELETS",
    "PROBED",
    "PROBES",
    "PROBE_COUNT",
];

/// The connect hooks: program and name of its pinned link.
const CONNECT_HOOKS: [(&str, &str); 2] = [("weft_connect4", "connect4"), ("weft_connect6", "connect6")];

/// The hooks that recognise the kubelet, likewise. Kernels may refuse them.
const PROBE_HOOKS: [(&str, &str); 2] = [("weft_probe4", "probe4"), ("weft_probe6", "probe6")];

/// Inode of the file of the machine's first pid namespace (`PROC_PID_INIT_INO`, linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Typed maps; who writes and reads each is said in the eBPF crate's `maps.rs`.
pub(super) struct Maps {
    pub(super) pods: HashMap<MapData, u64, PodRecord>,
    pub(super) listeners: SockHash<MapData, ListenerKey>,
    pub(super) excluded_ports: HashMap<MapData, PortKey, u32>,
    pub(super) excluded_nets: LpmTrie<MapData, NetKey, u32>,
    pub(super) included_nets: LpmTrie<MapData, NetKey, u32>,
    pub(super) kubelets: HashMap<MapData, KubeletKey, KubeletRecord>,
    pub(super) probed: HashMap<MapData, Address, ProbedPod>,
    pub(super) probe_count: PerCpuArray<MapData, u64>,
}

/// The kernel side of one agent.
pub struct Kernel {
    maps: Mutex<Maps>,
    pins: PinDirectory,
}

impl Kernel {
    /// Loads the object, takes over pinned maps of an earlier agent, attaches the connect hooks to
    /// the root cgroup and pins them (replacing an earlier agent's without a gap).
    ///
    /// # Errors
    /// What the kernel or the machine lacks, with the next step.
    pub fn attach(pin_directory: &Path) -> Result<Self, EbpfError> {
        let pins = PinDirectory::create(pin_directory)?;
        let mut ebpf = load(&pins, 0)?;
        let maps = Maps {
            pods: typed(&mut ebpf, "PODS")?,
            listeners: typed(&mut ebpf, "LISTENERS")?,
            excluded_ports: typed(&mut ebpf, "EXCLUDED_PORTS")?,
            excluded_nets: typed(&mut ebpf, "EXCLUDED_NETS")?,
            included_nets: typed(&mut ebpf, "INCLUDED_NETS")?,
            kubelets: typed(&mut ebpf, "KUBELETS")?,
            probed: typed(&mut ebpf, "PROBED")?,
            probe_count: typed(&mut ebpf, "PROBE_COUNT")?,
        };
        attach_hooks(&mut ebpf, &pins)?;
        Ok(Self { maps: Mutex::new(maps), pins })
    }

    /// Puts this agent's connect hooks in the place of those of another one, which has used the same maps meanwhile.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn attach_again(&self) -> Result<(), EbpfError> {
        attach_hooks(&mut load(&self.pins, 0)?, &self.pins)
    }

    /// A handle by which one worker marks its own sockets.
    ///
    /// # Errors
    /// When the pinned map is gone.
    pub fn exempter(&self) -> Result<Box<dyn Exempt>, EbpfError> {
        let sockets = self.pinned("EXEMPT", |data| SkStorage::try_from(Map::SkStorage(data)))?;
        let local = self.pinned("LOCAL", |data| HashMap::try_from(Map::LruHashMap(data)))?;
        Ok(Box::new(Exempter { sockets, local }))
    }

    fn pinned<T>(
        &self,
        map: &'static str,
        typed: impl FnOnce(MapData) -> Result<T, aya::maps::MapError>,
    ) -> Result<T, EbpfError> {
        let opened = MapData::from_pin(self.pins.map(map)).and_then(typed);
        opened.map_err(|source| EbpfError::Map { map, source })
    }

    /// Detaches everything and removes all pins.
    ///
    /// # Errors
    /// The file system's.
    pub fn detach(&self) -> std::io::Result<()> {
        self.pins.remove_all()
    }

    pub(super) fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pins(&self) -> &PinDirectory {
        &self.pins
    }
}

/// Removes what an agent left behind in `pin_directory`.
///
/// # Errors
/// The file system's.
pub fn remove_pins(pin_directory: &Path) -> std::io::Result<()> {
    if !pin_directory.exists() {
        return Ok(());
    }
    match PinDirectory::create(pin_directory) {
        Ok(pins) => pins.remove_all(),
        Err(error) => Err(std::io::Error::other(error.to_string())),
    }
}

/// Loads the object with its maps shared by pin and `cookie` as the pod that the lookup program serves.
pub(super) fn load(pins: &PinDirectory, cookie: u64) -> Result<Ebpf, EbpfError> {
    let mut loader = EbpfLoader::new();
    // The programs need no relocation against the kernel's own types; parsing those takes tens of MiB, for
    // every pod again.
    loader.btf(None);
    for map in MAPS {
        loader.map_pin_path(map, pins.map(map));
    }
    let (device, inode) = pid_namespace();
    loader.override_global("POD_COOKIE", &cookie, true);
    loader.override_global("PID_NAMESPACE_DEVICE", &device, true);
    loader.override_global("PID_NAMESPACE_INODE", &inode, true);
    Ok(loader.load(object::bytes()?)?)
}

/// Our pid namespace as the kernel names it, device and inode; zeros for the machine's first one.
fn pid_namespace() -> (u64, u64) {
    match std::fs::metadata("/proc/self/ns/pid") {
        Ok(found) if found.ino() != FIRST_PID_NAMESPACE => {
            // Inside the kernel a device's minor number has 20 bits (`MKDEV`, linux/kdev_t.h).
            let device = found.dev();
            (u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device)), found.ino())
        }
        _ => (0, 0),
    }
}

fn typed<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, EbpfError>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(EbpfError::Missing(name))?;
    T::try_from(map).map_err(|source| EbpfError::Map { map: name, source })
}

fn attach_hooks(ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<(), EbpfError> {
    let cgroup = open_root_cgroup()?;
    for (program, link) in CONNECT_HOOKS {
        attach_connect(ebpf, program, &cgroup).and_then(|attached| pins.replace_link(link, attached))?;
    }
    for (program, link) in PROBE_HOOKS {
        let attached = attach_connect(ebpf, program, &cgroup).and_then(|attached| pins.replace_link(link, attached));
        if let Err(error) = attached {
            tracing::warn!(%error, "the kubelet is not recognised: policies apply to its probes");
        }
    }
    Ok(())
}

fn attach_connect(ebpf: &mut Ebpf, name: &'static str, cgroup: &File) -> Result<FdLink, EbpfError> {
    let failed = |source| EbpfError::Program { program: name, source };
    let program: &mut CgroupSockAddr =
        ebpf.program_mut(name).ok_or(EbpfError::Missing(name))?.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    // `Single`: link-based attachment allows several per cgroup whatever the mode says, and the
    // flag of `AllowMultiple` is refused for links (EINVAL, Linux 6.18).
    let link = program.attach(cgroup, CgroupAttachMode::Single).map_err(failed)?;
    let link = program.take_link(link).map_err(failed)?;
    FdLink::try_from(link).map_err(|error| EbpfError::Pin { path: name.into(), message: error.to_string() })
}

/// The root of the cgroup2 hierarchy, found by type: it is mounted at different places on cgroup v2
/// and hybrid machines.
///
/// # Errors
/// [`EbpfError::NoCgroup2`].
pub fn root_cgroup() -> Result<PathBuf, EbpfError> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (path, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(path))
        })
        .next()
        .ok_or(EbpfError::NoCgroup2)
}

fn open_root_cgroup() -> Result<File, EbpfError> {
    let path = root_cgroup()?;
    File::open(&path).map_err(|source| EbpfError::PinDirectory { path, source })
}

struct Exempter {
    sockets: SkStorage<MapData, u32>,
    local: HashMap<MapData, LocalKey, u32>,
}

impl Exempt for Exempter {
    fn exempt(&mut self, socket: &dyn AsRawFd, kind: ExemptKind) -> std::io::Result<()> {
        self.sockets.insert(&socket.as_raw_fd(), kind as u32, 0).map_err(std::io::Error::other)
    }

    fn forget(&mut self, connection: &LocalKey) {
        // Not there when the connect never reached the hook, or the map was full of newer ones.
        let _ = self.local.remove(connection);
    }
}
