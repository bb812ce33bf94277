//! The options of `stap`: one table. The parser, `-h`, and whatever else
//! wants to know an option (man page, shell completions) are made from it.
//! Nothing here looks at what the user typed.

/// What an option does when it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Obeyed.
    Yes,
    /// Accepted with a warning: it asks for nothing that we would do otherwise.
    Harmless(&'static str),
    /// Refused with this explanation.
    No(&'static str),
}

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    None,
    /// `-p NUM`, `-pNUM`, `--vp NUM`, `--vp=NUM`; the text names it in the help.
    Required(&'static str),
    /// `--color[=WHEN]`; the second text is meant where it is missing.
    Optional(&'static str, &'static str),
}

/// One row: an option of `stap`.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Key by which the parser's result is asked.
    pub id: &'static str,
    pub short: Option<char>,
    pub long: Option<&'static str>,
    /// Other spelling of the long name.
    pub alias: Option<&'static str>,
    pub value: Value,
    /// May be given more than once; the values add up.
    pub repeat: bool,
    pub support: Support,
    pub help: &'static str,
}

const fn opt(id: &'static str, short: Option<char>, long: Option<&'static str>, help: &'static str) -> Opt {
    Opt { id, short, long, alias: None, value: Value::None, repeat: false, support: Support::Yes, help }
}

impl Opt {
    const fn value(mut self, name: &'static str) -> Opt {
        self.value = Value::Required(name);
        self
    }
    const fn maybe(mut self, name: &'static str, missing: &'static str) -> Opt {
        self.value = Value::Optional(name, missing);
        self
    }
    const fn repeat(mut self) -> Opt {
        self.repeat = true;
        self
    }
    const fn alias(mut self, name: &'static str) -> Opt {
        self.alias = Some(name);
        self
    }
    const fn harmless(mut self, why: &'static str) -> Opt {
        self.support = Support::Harmless(why);
        self
    }
    const fn no(mut self, why: &'static str) -> Opt {
        self.support = Support::No(why);
        self
    }
    /// As messages name it: `-p` or `--vp`.
    pub fn spelling(&self) -> String {
        match (self.short, self.long) {
            (_, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => self.id.to_string(),
        }
    }
}

const NO_C: &str = "no C is compiled here, so there is no kernel build to pass it to";
const NO_SERVER: &str = "scripts are compiled in milliseconds on the spot; there is no compile server";
const SYMBOLS: &str = "symbols are looked up when they are printed; nothing has to be added beforehand";

/// Every option, in the order of the help.
pub const OPTIONS: &[Opt] = &[
    opt("help", Some('h'), Some("help"), "show help"),
    opt("version", Some('V'), Some("version"), "show version"),
    opt("pass", Some('p'), None, "stop after pass NUM 1-5, instead of 5 (parse, elaborate, translate, write the image, run)")
        .value("NUM"),
    opt("verbose", Some('v'), None, "add verbosity to all passes").repeat(),
    opt("vp", None, Some("vp"), "add per-pass verbosity, one digit a pass").value("ABCDE").repeat(),
    opt("script", Some('e'), None, "run given script").value("SCRIPT").repeat(),
    opt("extra", Some('E'), None, "run the script in addition to the main one").value("SCRIPT").repeat(),
    opt("output", Some('o'), None, "send script output to file, instead of stdout; strftime(3) formats in FILE are expanded")
        .value("FILE"),
    opt("command", Some('c'), None, "start the probes, run CMD, and exit when it finishes; target() is its process id")
        .value("CMD"),
    opt("target", Some('x'), None, "set target() to PID").value("PID"),
    opt("timeout", Some('T'), None, "end the run after SEC seconds").value("SEC"),
    opt("define", Some('D'), None, "set a limit of the machine (MAXACTION, MAXMAPENTRIES, ...)")
        .value("NAME=VALUE")
        .repeat(),
    opt("global", Some('G'), None, "set global variable to value").value("NAME=VALUE").repeat(),
    opt("include", Some('I'), None, "look in DIR for additional tapset files").value("DIR").repeat(),
    opt("guru", Some('g'), None, "guru mode: allow writes to memory and the kernel log"),
    opt("unoptimized", Some('u'), None, "unoptimized translation: keep unused variables and code"),
    opt("nowarn", Some('w'), None, "suppress warnings"),
    opt("werror", Some('W'), None, "turn warnings into errors"),
    opt("keep", Some('k'), None, "keep temporary directory")
        .harmless("there is no temporary directory to keep; -p4 writes the compiled image"),
    opt("name", Some('m'), None, "set the name of the session, and of the image that -p4 writes").value("NAME"),
    opt("buffer", Some('s'), None, "buffer size in megabytes per CPU (1-4095)").value("NUM"),
    opt("bulk", Some('b'), None, "bulk mode: one output file per CPU, for stap-merge"),
    opt("filesize", Some('S'), None, "with -o: begin a new file after SIZE megabytes, keep the last N").value("SIZE[,N]"),
    opt("flight", Some('F'), None, "flight recorder: with -o, run in the background and print the process id"),
    opt("timing", Some('t'), None, "print how often each probe ran and what it took, at the end"),
    opt("list", Some('l'), None, "list probe points that match").value("PROBE"),
    opt("listvars", Some('L'), None, "list probe points that match, and their variables").value("PROBE"),
    opt("release", Some('r'), None, "compile for kernel RELEASE, or for that of the build directory DIR, instead of the running one").value("RELEASE|DIR"),
    opt("runtimedir", Some('R'), None, "directory of the runtime sources")
        .value("DIR")
        .harmless("the machine is built into stap and its module; there are no runtime sources"),
    opt("runtime", None, Some("runtime"), "where the script runs: `kernel` (the module) or `user` (this process: begin, end, error, never and timer probes only)")
        .value("MODE"),
    opt("module", None, Some("stpvm-module"), "load the module from FILE if it is not loaded").value("FILE"),
    opt("privilege", None, Some("privilege"), "refuse what LEVEL (stapusr, stapsys, stapdev) may not do").value("LEVEL"),
    opt("unprivileged", None, Some("unprivileged"), "the same as --privilege=stapusr"),
    opt("compatible", None, Some("compatible"), "suppress language changes beyond VERSION").value("VERSION"),
    opt("notime", None, Some("suppress-time-limits"), "disable MAXACTION, MAXTRYLOCK and overload limits (with -g)"),
    opt("noerrors", None, Some("suppress-handler-errors"), "catch all run-time errors, quietly skip probe handlers"),
    opt("novardisplay", None, Some("no-global-var-display"), "do not print at the end what globals hold that are written and never read"),
    opt("skipbadvars", None, Some("skip-badvars"), "take 0 for context variables that a probe point has not (with a warning) or that can't be read"),
    opt("color", None, Some("color"), "colour messages: never, auto or always").alias("colour").maybe("WHEN", "always"),
    opt("sysroot", None, Some("sysroot"), "directory under which files of the traced system are").value("DIR"),
    opt("dumpfunctions", None, Some("dump-functions"), "list the functions of the tapset library"),
    opt("dumptypes", None, Some("dump-probe-types"), "list the types of probe points"),
    opt("dumpaliases", None, Some("dump-probe-aliases"), "list the probe aliases of the tapset library"),
    opt("nocache", None, Some("disable-cache"), "neither read nor write the cache"),
    opt("poisoncache", None, Some("poison-cache"), "do not read the cache; what this run finds is written to it"),
    opt("cleancache", None, Some("clean-cache"), "prune the cache and exit"),
    // What SystemTap has and we answer with a word.
    opt("prologue", Some('P'), None, "prologue-searching for function probes")
        .harmless("parameters are found from the calling convention or the debuginfo's own lists"),
    opt("prologuewhen", None, Some("prologue-searching"), "prologue-searching for function probes")
        .maybe("WHEN", "always")
        .harmless("parameters are found from the calling convention or the debuginfo's own lists"),
    opt("checkversion", None, Some("check-version"), "warn of version dependent constructs")
        .harmless("there is one version of the language so far"),
    opt("object", Some('d'), None, "look for debuginfo in OBJECT first: a file, or a directory of such files").value("OBJECT").repeat(),
    opt("ldd", None, Some("ldd"), "add symbol data of shared libraries").harmless(SYMBOLS),
    opt("allmodules", None, Some("all-modules"), "add symbol data of all loaded modules").harmless(SYMBOLS),
    opt("tmpdir", None, Some("tmpdir"), "name of the temporary directory")
        .value("DIR")
        .harmless("no temporary directory is used"),
    opt("saveuprobes", None, Some("save-uprobes"), "save uprobes.ko").harmless("the kernel has uprobes of its own"),
    opt("coverage", Some('q'), None, "generate information on tapset coverage").harmless("no coverage is kept"),
    opt("debuginfo", None, Some("download-debuginfo"), "download debuginfo")
        .maybe("OPTION", "yes")
        .harmless("debuginfo is taken from where it is installed"),
    opt("make", Some('B'), None, "pass option to the kernel build").value("NAME=VALUE").repeat().no(NO_C),
    opt("modinfo", None, Some("modinfo"), "add a MODULE_INFO to the module").value("NAME=VALUE").repeat().no(NO_C),
    opt("signmodule", None, Some("sign-module"), "sign the module").no(NO_C),
    opt("arch", Some('a'), None, "compile for another architecture")
        .value("ARCH")
        .no("images run on the architecture that they were made on"),
    opt("interactive", Some('i'), Some("interactive"), "build a script interactively").no("there is no interactive mode"),
    opt("dyninst", None, Some("dyninst"), "shorthand for --runtime=dyninst").no("the runtimes are kernel and user"),
    opt("bpf", None, Some("bpf"), "shorthand for --runtime=bpf").no("the runtimes are kernel and user"),
    opt("remote", None, Some("remote"), "run on another host")
        .value("HOST")
        .repeat()
        .no("compile with -p4 and run the image there with staprun"),
    opt("remoteprefix", None, Some("remote-prefix"), "prefix remote output").no("nothing runs remotely"),
    opt("useserver", None, Some("use-server"), "use a compile server").maybe("SERVER", "").no(NO_SERVER),
    opt("listservers", None, Some("list-servers"), "list compile servers").maybe("WHICH", "").no(NO_SERVER),
    opt("trustservers", None, Some("trust-servers"), "trust compile servers").maybe("SPEC", "").no(NO_SERVER),
    opt("servererror", None, Some("use-server-on-error"), "retry with a compile server").maybe("YESNO", "yes").no(NO_SERVER),
    opt("sysenv", None, Some("sysenv"), "environment on the remote system").value("VAR=VALUE").no("nothing runs remotely"),
    opt("namespace", None, Some("target-namespaces"), "set the target namespaces")
        .alias("target-namespace")
        .value("PID")
        .no("functions that know namespaces are not there yet"),
    opt("monitor", None, Some("monitor"), "status display").maybe("INTERVAL", "1").no("the monitor is not there yet"),
    opt("example", None, Some("example"), "run an example script by name").no("give the script's path"),
    opt("rlimitas", None, Some("rlimit-as"), "limit address space").value("NUM").harmless("use ulimit"),
    opt("rlimitcpu", None, Some("rlimit-cpu"), "limit CPU time").value("NUM").harmless("use ulimit"),
    opt("rlimitnproc", None, Some("rlimit-nproc"), "limit processes").value("NUM").harmless("use ulimit"),
    opt("rlimitstack", None, Some("rlimit-stack"), "limit stack").value("NUM").harmless("use ulimit"),
    opt("rlimitfsize", None, Some("rlimit-fsize"), "limit file size").value("NUM").harmless("use ulimit"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_spelling_and_none_is_there_twice() {
        let mut seen = std::collections::HashSet::new();
        for o in OPTIONS {
            assert!(o.short.is_some() || o.long.is_some(), "{}", o.id);
            assert!(seen.insert(o.id.to_string()), "{}", o.id);
            for name in [
                o.short.map(|c| format!("-{c}")),
                o.long.map(|l| format!("--{l}")),
                o.alias.map(|l| format!("--{l}")),
            ]
            .into_iter()
            .flatten()
            {
                assert!(seen.insert(name.clone()), "{name}");
            }
        }
    }
}
