//! What a program is, by its first bytes; and its version, where Go's linker wrote it down.

use std::io::{self, Read};

/// The programs whose whole content is searched for a version.
pub(super) const WATCHED: [&str; 6] = ["containerd", "crun", "docker", "dockerd", "docker-runc", "runc"];
/// What is looked at of every program.
const HEAD: usize = 4096;
/// How much is searched at once.
const WINDOW: usize = 1 << 20;
/// What Go's linker puts before the build information (Go's debug/buildinfo).
const MARK: &[u8] = b"\xff Go buildinf:";
/// More is not believed to be build information.
const MAX_BUILD_INFO: usize = 256 << 10;

/// What a program is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The processor that it is for, in Go's words; `None` if it is no ELF file.
    pub architecture: Option<String>,
    /// What has to run it: the dynamic linker, or what a script names in its first line.
    pub interpreter: Option<String>,
    /// Its version, if it says it.
    pub version: Option<String>,
}

/// Reads a program; `whole` searches all of it for a version.
pub(super) fn read(file: &mut impl Read, whole: bool) -> io::Result<Option<Program>> {
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head)?;
    let Some(mut program) = of_head(&head) else { return Ok(None) };
    if whole && program.architecture.is_some() {
        program.version = build_information(head, file)?.as_deref().and_then(version_in);
    }
    Ok(Some(program))
}

/// A script, or an ELF file (elf(5)).
fn of_head(head: &[u8]) -> Option<Program> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let interpreter = line.split_whitespace().next().map(str::to_owned);
        return Some(Program { interpreter, ..Program::default() });
    }
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let wide = head.get(4) == Some(&2);
    // Nothing that an engine runs on is big-endian but s390x, whose files are told by their machine alone.
    let little = head.get(5) == Some(&1);
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let raw = head.get(at..at.checked_add(bytes)?)?;
        let fold = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
        let value = if little { raw.iter().rev().fold(0, fold) } else { raw.iter().fold(0, fold) };
        usize::try_from(value).ok()
    };
    let architecture = match number(18, 2)? {
        3 => "386",
        22 => "s390x",
        40 => "arm",
        62 => "amd64",
        183 => "arm64",
        243 => "riscv64",
        21 => "ppc64le",
        _ => "another processor",
    };
    let interpreter = || -> Option<String> {
        let (table, size, count) = if wide {
            (number(32, 8)?, number(54, 2)?, number(56, 2)?)
        } else {
            (number(28, 4)?, number(42, 2)?, number(44, 2)?)
        };
        (0..count.min(64)).find_map(|index| {
            let entry = table.checked_add(index.checked_mul(size)?)?;
            // PT_INTERP
            (number(entry, 4)? == 3).then_some(())?;
            let (offset, length) = if wide {
                (number(entry.checked_add(8)?, 8)?, number(entry.checked_add(32)?, 8)?)
            } else {
                (number(entry.checked_add(4)?, 4)?, number(entry.checked_add(16)?, 4)?)
            };
            let name = head.get(offset..offset.checked_add(length)?)?;
            Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
        })
    };
    Some(Program { architecture: Some(architecture.to_owned()), interpreter: interpreter(), version: None })
}

/// Searches a file for Go's build information, a window at a time.
fn build_information(head: Vec<u8>, file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut window = head;
    loop {
        // The linker aligns it to 16 bytes, and the same words stand in any program that looks for them.
        if let Some(at) = memchr::memmem::find_iter(&window, MARK).find(|at| is_inline(&window[*at..])) {
            let mut found = window.split_off(at);
            file.take(MAX_BUILD_INFO as u64).read_to_end(&mut found)?;
            return Ok(Some(found));
        }
        let keep = window.len().saturating_sub(MARK.len() + 2);
        window.drain(..keep);
        if file.take(WINDOW as u64).read_to_end(&mut window)? == 0 {
            return Ok(None);
        }
    }
}

/// Whether the strings follow, as Go has it from 1.18 on: bit 1 of the flags behind the pointer size.
fn is_inline(found: &[u8]) -> bool {
    found.get(MARK.len() + 1).is_some_and(|flags| flags & 2 != 0)
}

/// The version among the linker's flags, or of the main module.
fn version_in(found: &[u8]) -> Option<String> {
    // The strings begin 32 bytes behind the mark's beginning; the second one has a line for each thing.
    let end = memchr::memmem::find(found, b"\nbuild\tvcs").or_else(|| memchr::memmem::find(found, b"\nbuild\tGOOS"));
    let text = String::from_utf8_lossy(found.get(32..end.unwrap_or(found.len().min(64 << 10)))?).into_owned();
    let flags = text.split('\n').find(|line| line.starts_with("build\t-ldflags="));
    let said = flags.and_then(|flags| {
        let names = ["dockerversion.Version=", "/version.Version=", "main.version=", "main.Version="];
        let tail = names.iter().find_map(|name| Some(flags.split_once(name)?.1))?;
        let end = tail.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
        Some(tail[..end.unwrap_or(tail.len())].to_owned())
    });
    let module = || {
        let line = text.split('\n').find(|line| line.starts_with("mod\t"))?;
        let version = line.split('\t').nth(2)?;
        // Without a release, Go makes one up from the time of the commit.
        (!version.starts_with('(') && !version.contains("-0.")).then(|| version.to_owned())
    };
    said.or_else(module).filter(|version| version.len() < 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_interpreter() {
        let program = read(&mut b"#! /bin/sh -eu\nset".as_slice(), true).unwrap().unwrap();
        assert_eq!(program.interpreter.as_deref(), Some("/bin/sh"));
        assert_eq!(read(&mut b"text".as_slice(), true).unwrap(), None);
    }

    #[test]
    fn this_very_program_is_static_and_for_this_processor() {
        let mut file = std::fs::File::open("/proc/self/exe").unwrap();
        let program = read(&mut file, true).unwrap().unwrap();
        assert_eq!(program.interpreter, None);
        let wanted = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        assert_eq!(program.architecture.as_deref(), Some(wanted));
    }

    #[test]
    fn the_version_is_found_behind_a_mark_that_is_none_and_across_windows() {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(HEAD + WINDOW - 7, 0);
        file[HEAD + 100..][..MARK.len()].copy_from_slice(MARK);
        file.extend(MARK);
        file.extend([8, 2]);
        file.extend([0; 16]);
        file.extend(b"\x08go1.24.4\xff\x01");
        file.extend(b"path\tx\nbuild\t-ldflags=\"-w -X \\\"github.com/docker/docker/dockerversion.Version=20.10.24+dfsg1\\\" -X y=1\"\nbuild\tGOOS=linux\n");
        let program = read(&mut file.as_slice(), true).unwrap().unwrap();
        assert_eq!(program.version.as_deref(), Some("20.10.24+dfsg1"));
    }

    /// An ELF file of a machine, with an interpreter in its second program header.
    fn elf(wide: bool, little: bool, machine: u16) -> Vec<u8> {
        let mut file = vec![0; 256];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if little { 1 } else { 2 }]);
        let mut put = |at: usize, size: usize, value: u64| {
            let bytes = if little { value.to_le_bytes() } else { value.to_be_bytes() };
            let bytes = if little { &bytes[..size] } else { &bytes[8 - size..] };
            file[at..at + size].copy_from_slice(bytes);
        };
        put(18, 2, machine.into());
        let (table, size) = (64, if wide { 56 } else { 32 });
        if wide {
            put(32, 8, table);
            put(54, 2, size);
            put(56, 2, 2);
        } else {
            put(28, 4, table);
            put(42, 2, size);
            put(44, 2, 2);
        }
        let entry = usize::try_from(table + size).unwrap();
        put(entry, 4, 3);
        if wide {
            put(entry + 8, 8, 240);
            put(entry + 32, 8, 8);
        } else {
            put(entry + 4, 4, 240);
            put(entry + 16, 4, 8);
        }
        file[240..248].copy_from_slice(b"/lib/ld\0");
        file
    }

    #[test]
    fn each_processor_is_told_and_what_runs_the_program() {
        for (wide, little, machine, name) in [
            (false, true, 3, "386"),
            (true, false, 22, "s390x"),
            (false, true, 40, "arm"),
            (true, true, 62, "amd64"),
            (true, true, 183, "arm64"),
            (true, true, 243, "riscv64"),
            (true, true, 21, "ppc64le"),
            (true, true, 8, "another processor"),
        ] {
            let program = of_head(&elf(wide, little, machine)).unwrap();
            assert_eq!(program.architecture.as_deref(), Some(name));
            assert_eq!(program.interpreter.as_deref(), Some("/lib/ld"), "{name}");
        }
    }

    #[test]
    fn the_version_is_the_linkers_or_else_the_modules() {
        let said = |lines: &str| {
            let found = [&[0; 32], lines.as_bytes()].concat();
            version_in(&found)
        };
        let module = "path\tx\nmod\tgithub.com/x\tv1.2.3\th1:\n";
        assert_eq!(said(module).as_deref(), Some("v1.2.3"));
        assert_eq!(said("mod\tx\t(devel)\n"), None);
        assert_eq!(said("mod\tx\tv0.0.0-0.20240102030405-abc\n"), None);
        for name in ["dockerversion.Version=", "x/version.Version=", "main.version=", "main.Version="] {
            let flags = format!("{module}build\t-ldflags=\"-X {name}7.8.9\"\nbuild\tGOOS=linux\n");
            assert_eq!(said(&flags).as_deref(), Some("7.8.9"), "{name}");
        }
        // What comes behind the settings is not looked at, nor what is far behind where there are none.
        assert_eq!(said("build\tvcs=git\nmod\tx\tv1\n").as_deref(), Some("v1"), "the first line is none");
        assert_eq!(said("x\nbuild\tvcs=git\nmod\tx\tv1\n"), None);
        let far = |filler: usize| said(&format!("{}\nmod\tx\tv1\n", "x".repeat(filler)));
        assert_eq!((far(60_000).as_deref(), far(70_000)), (Some("v1"), None));
        assert_eq!(said(&format!("mod\tx\tv{}\n", "1".repeat(63))), None);
        assert_eq!(said(&format!("mod\tx\tv{}\n", "1".repeat(62))).map(|version| version.len()), Some(63));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_bring_it_down(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            bytes.splice(0..0, *b"\x7fELF\x02\x01");
            let _ = read(&mut bytes.as_slice(), true);
        }
    }
}
