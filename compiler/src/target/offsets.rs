//! Offsets of the kernel structures that the module walks (`struct
//! stpvm_offsets` of vm-kmod/kernel/uapi.h), from BTF. The module compiles none
//! of them in, so that one build serves many patch levels of a series. What
//! this kernel does not have is [`UNKNOWN`]; the module then does without.

use super::btf::Btf;
use super::ctype::{find_field, size_of, strip, CType, Field, RecordKind, TypeRef, TypeSource};

/// What stands for a member that is not there.
pub const UNKNOWN: u32 = u32::MAX;

/// The same fields in the same order as `struct stpvm_offsets`, `reserved` left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Offsets {
    pub task_pid: u32,
    pub task_tgid: u32,
    pub task_real_parent: u32,
    pub task_comm: u32,
    pub task_cred: u32,
    pub task_group_leader: u32,
    pub task_signal: u32,
    pub signal_pids: u32,
    pub task_mm: u32,
    pub mm_exe_file: u32,
    pub cred_uid: u32,
    pub cred_euid: u32,
    pub cred_gid: u32,
    pub cred_egid: u32,
    pub pid_numbers: u32,
    pub upid_nr: u32,
    pub pid_level: u32,
    pub file_path: u32,
    pub path_dentry: u32,
    pub path_mnt: u32,
    pub dentry_parent: u32,
    pub dentry_name: u32,
    pub qstr_name: u32,
    pub vfsmount_root: u32,
    pub mount_mnt: u32,
    pub mount_parent: u32,
    pub mount_mountpoint: u32,
    /// Bytes of `struct task_struct`: no offset into it is higher.
    pub task_size: u32,
    pub mm_flags: u32,
}

/// Takes the offsets from the kernel's BTF.
pub fn module_offsets(btf: &Btf) -> Offsets {
    let at = |record: &str, path: &[&str]| offset(btf, record, path).unwrap_or(UNKNOWN);
    let task_size =
        btf.record(RecordKind::Struct, "task_struct").and_then(|t| size_of(btf, t).ok()).unwrap_or(0);
    Offsets {
        task_pid: at("task_struct", &["pid"]),
        task_tgid: at("task_struct", &["tgid"]),
        task_real_parent: at("task_struct", &["real_parent"]),
        task_comm: at("task_struct", &["comm"]),
        task_cred: at("task_struct", &["cred"]),
        task_group_leader: at("task_struct", &["group_leader"]),
        task_signal: at("task_struct", &["signal"]),
        signal_pids: at("signal_struct", &["pids"]),
        task_mm: at("task_struct", &["mm"]),
        mm_exe_file: at("mm_struct", &["exe_file"]),
        cred_uid: at("cred", &["uid"]),
        cred_euid: at("cred", &["euid"]),
        cred_gid: at("cred", &["gid"]),
        cred_egid: at("cred", &["egid"]),
        pid_numbers: at("pid", &["numbers"]),
        upid_nr: at("upid", &["nr"]),
        pid_level: at("pid", &["level"]),
        file_path: at("file", &["f_path"]),
        path_dentry: at("path", &["dentry"]),
        path_mnt: at("path", &["mnt"]),
        dentry_parent: at("dentry", &["d_parent"]),
        dentry_name: at("dentry", &["d_name"]),
        qstr_name: at("qstr", &["name"]),
        vfsmount_root: at("vfsmount", &["mnt_root"]),
        mount_mnt: at("mount", &["mnt"]),
        mount_parent: at("mount", &["mnt_parent"]),
        mount_mountpoint: at("mount", &["mnt_mountpoint"]),
        task_size: u32::try_from(task_size).unwrap_or(0),
        mm_flags: at("mm_struct", &["flags"]),
    }
}

/// Offset in bytes of a member, by a path of members that lie inside each other.
pub fn offset(btf: &Btf, record: &str, path: &[&str]) -> Option<u32> {
    let mut ty: TypeRef = btf.record(RecordKind::Struct, record)?;
    let mut at = 0u64;
    for name in path {
        let (inner, shape) = strip(btf, ty).ok()?;
        if !matches!(shape, CType::Record { .. }) {
            return None;
        }
        let Field { ty: next, bit_offset, bit_size } = find_field(btf, inner, name).ok()??;
        if bit_size != 0 {
            return None;
        }
        at = at.checked_add(bit_offset / 8)?;
        ty = next;
    }
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::btf::build::Builder;

    #[test]
    fn offsets_are_taken_where_the_members_are_and_unknown_elsewhere() {
        let mut b = Builder::new();
        let int = b.int("int", 4, 1);
        let un = b.structure("", 8, &[("tgid", int, 32, 0), ("bits", int, 0, 3)]);
        b.structure("task_struct", 64, &[("pid", int, 128, 0), ("", un, 256, 0)]);
        let btf = Btf::from_bytes(b.bytes(), None).expect("blob");
        let o = module_offsets(&btf);
        assert_eq!((o.task_pid, o.task_tgid, o.task_size), (16, 36, 64));
        assert_eq!((o.task_comm, o.mount_mnt), (UNKNOWN, UNKNOWN));
        assert_eq!(offset(&btf, "task_struct", &["bits"]), None, "a bit field has no offset in bytes");
    }

    #[test]
    fn a_real_kernel_has_them_all() {
        let path = std::env::var_os("STPVM_BTF").unwrap_or("/sys/kernel/btf/vmlinux".into());
        let Ok(btf) = Btf::open(path.as_ref(), None) else { return };
        let o = module_offsets(&btf);
        assert!(!format!("{o:?}").contains("4294967295"), "{o:?}");
        assert!(o.task_comm < o.task_size);
    }
}
