//! Finds Debian's kernel of a series: image, modules, headers. In: a series
//! ("6.1"). Out: paths. Exact versions come and go, so they are read from the
//! meta-packages each time; what is missing is fetched with apt into
//! `build/kernels`, headers are installed (they name each other by absolute paths).

use anyhow::{bail, ensure, Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

/// A kernel series that the tests know, with the meta-packages that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    pub name: &'static str,
    image: &'static str,
    headers: &'static str,
}

/// What Debian 12 offers: its own kernel, and the next LTS from the security archive.
pub const SERIES: [Series; 2] = [
    Series { name: "6.1", image: "linux-image-cloud-amd64", headers: "linux-headers-cloud-amd64" },
    Series { name: "6.12", image: "linux-image-6.12-cloud-amd64", headers: "linux-headers-6.12-cloud-amd64" },
];

/// A kernel that checks itself (KASAN, lockdep ...), as `scripts/debug-kernel` leaves it.
const DEBUG: Series = Series { name: "debug", image: "", headers: "" };

impl Series {
    /// Everything takes many times as long there, and more memory.
    pub fn is_debug(self) -> bool {
        self == DEBUG
    }

    pub fn find(name: &str) -> Result<Series> {
        if name == DEBUG.name {
            return Ok(DEBUG);
        }
        let known = || SERIES.map(|s| s.name).join(", ");
        SERIES
            .into_iter()
            .find(|s| s.name == name)
            .with_context(|| format!("no kernel series `{name}` here; there are {}", known()))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A kernel that can be booted and that modules can be built for.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub series: Series,
    /// As `uname -r` prints it there.
    pub release: String,
    pub image: PathBuf,
    /// Its configuration, `CONFIG_X=y` a line.
    pub config: PathBuf,
    /// Directory `kernel/` of the modules that came with the image.
    pub modules: PathBuf,
    /// What `make -C` takes for an external module.
    pub headers: PathBuf,
}

impl Kernel {
    /// The newest kernel of the series, fetched where it is missing.
    pub fn get(series: Series) -> Result<Kernel> {
        if series.is_debug() {
            return debug_kernel();
        }
        let wanted = release_of(series.image, "linux-image-");
        if let Ok(release) = &wanted {
            if let Some(kernel) = present(series, release) {
                return Ok(kernel);
            }
            let fetched = fetch(series, release).or_else(|first| {
                // old lists name packages that the archive no longer has
                apt_get(&["update"], None).map_err(|_| first)?;
                fetch(series, &release_of(series.image, "linux-image-")?)
            });
            return fetched.or_else(|e| newest_present(series).ok_or(e));
        }
        match newest_present(series) {
            Some(kernel) => Ok(kernel),
            None => bail!(
                "no Debian kernel {series} is here and apt does not know one: {:#}",
                wanted.unwrap_err()
            ),
        }
    }

    /// A module file of the kernel by name (`virtio_ring`), unpacked; `None` if it is built in or absent.
    pub fn module(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(path) = find_module(&self.modules, name) else { return Ok(None) };
        if path.extension().is_some_and(|e| e == "xz") {
            let out = Command::new("xz").arg("-dc").arg(&path).output().context("xz")?;
            ensure!(out.status.success(), "xz -dc {} failed", path.display());
            return Ok(Some(out.stdout));
        }
        Ok(Some(fs::read(&path).with_context(|| path.display().to_string())?))
    }
}

/// Top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// Where everything made or fetched for the guests is kept.
pub fn build_dir() -> PathBuf {
    root().join("build")
}

fn cache(release: &str) -> PathBuf {
    build_dir().join("kernels").join(release)
}

fn headers_of(release: &str) -> PathBuf {
    PathBuf::from(format!("/usr/src/linux-headers-{release}"))
}

/// Image and headers of that release, if both are on this machine.
fn present(series: Series, release: &str) -> Option<Kernel> {
    let headers = headers_of(release);
    if !headers.join("Makefile").exists() {
        return None;
    }
    [PathBuf::from("/"), cache(release)].into_iter().find_map(|top| {
        let image = top.join(format!("boot/vmlinuz-{release}"));
        let config = top.join(format!("boot/config-{release}"));
        let modules = top.join(format!("lib/modules/{release}/kernel"));
        let complete = image.exists() && config.exists() && modules.join("drivers").exists();
        complete.then(|| Kernel {
            series,
            release: release.to_string(),
            image,
            config,
            modules,
            headers: headers.clone(),
        })
    })
}

/// What `scripts/debug-kernel` has built: drivers are built in, so there are no module files.
fn debug_kernel() -> Result<Kernel> {
    let headers = build_dir().join("debug-kernel/obj");
    let image = headers.join("arch/x86/boot/bzImage");
    let release = fs::read_to_string(headers.join("include/config/kernel.release")).unwrap_or_default();
    ensure!(image.exists() && !release.is_empty(), "no debug kernel is here: scripts/debug-kernel makes it");
    Ok(Kernel {
        series: DEBUG,
        release: release.trim().to_string(),
        image,
        config: headers.join(".config"),
        modules: headers.join("no-modules"),
        headers,
    })
}

/// Among the releases whose headers are installed, the newest of the series with an image.
fn newest_present(series: Series) -> Option<Kernel> {
    let mut releases: Vec<String> = fs::read_dir("/usr/src")
        .ok()?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter_map(|n| n.strip_prefix("linux-headers-").map(str::to_string))
        .filter(|r| r.starts_with(&format!("{}.", series.name)) && r.ends_with("-cloud-amd64"))
        .collect();
    releases.sort_by_key(|r| {
        r.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect::<Vec<u32>>()
    });
    releases.iter().rev().find_map(|r| present(series, r))
}

/// The release that a meta-package depends on now.
fn release_of(package: &str, prefix: &str) -> Result<String> {
    let out = Command::new("apt-cache")
        .args(["show", "--no-all-versions", package])
        .output()
        .context("apt-cache (this needs a Debian machine)")?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines()
        .filter_map(|l| l.strip_prefix("Depends: "))
        .flat_map(|l| l.split([',', ' ']))
        .find_map(|w| w.strip_prefix(prefix))
        .map(str::to_string)
        .with_context(|| format!("apt knows no package {package} (apt-get update?)"))
}

/// Headers are installed, the image is only unpacked: it must not become this machine's own kernel.
fn fetch(series: Series, release: &str) -> Result<Kernel> {
    let installed_headers = headers_of(release);
    if !installed_headers.join("Makefile").exists() {
        let meta = release_of(series.headers, "linux-headers-")?;
        ensure!(meta == release, "{} is at {meta} and {} at {release}", series.headers, series.image);
        apt_get(&["install", "-y", "--no-install-recommends", &format!("linux-headers-{release}")], None)?;
    }
    if present(series, release).is_none() {
        let dir = cache(release);
        fs::create_dir_all(&dir)?;
        apt_get(&["download", &format!("linux-image-{release}")], Some(&dir))?;
        let package = fs::read_dir(&dir)?
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| p.extension().is_some_and(|e| e == "deb"))
            .context("apt-get download left no package")?;
        let status =
            Command::new("dpkg-deb").arg("-x").arg(&package).arg(&dir).status().context("dpkg-deb")?;
        ensure!(status.success(), "dpkg-deb -x {} failed", package.display());
        fs::remove_file(&package)?;
    }
    present(series, release)
        .with_context(|| format!("the packages of {release} hold no kernel where it was looked for"))
}

fn apt_get(args: &[&str], dir: Option<&Path>) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-q").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    // as root apt drops to a user who may not write here
    command.args(["-o", "APT::Sandbox::User=root"]);
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    let out = command.output().context("apt-get")?;
    let words = args.join(" ");
    ensure!(out.status.success(), "apt-get {words} failed:\n{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// Module files spell `-` and `_` alike.
fn find_module(dir: &Path, name: &str) -> Option<PathBuf> {
    let wanted = name.replace('-', "_");
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if let Some(file) = path.file_name().and_then(|n| n.to_str()) {
                let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"));
                if stem.is_some_and(|s| s.replace('-', "_") == wanted) {
                    return Some(path);
                }
            }
        }
    }
    None
}
