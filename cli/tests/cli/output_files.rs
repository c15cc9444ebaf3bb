//! Output files appear complete or not at all, wherever they are to be.

use crate::support::{Called, Scratch, digits, names};
use expect_test::expect;
use std::fs;

fn compile_to(scratch: &Scratch, place: &str) -> Called {
    scratch.lpu(&["compile", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", place])
}

#[test]
fn a_directory_that_does_not_exist() {
    let scratch = Scratch::new();
    expect![[r#"
        error: the program image cannot be written
          where: none/p.json
          why:   No such file or directory (os error 2)
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "none/p.json").refusal());
    expect![[r#"
        error: the output directory cannot be written
          where: none/g
          why:   No such file or directory (os error 2)
          help:  choose a place in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(scratch.lpu(&["generate", "--board", "ulx3s-12f", "--out", "none/g"]).refusal());
    assert!(scratch.names().is_empty());
}

#[test]
fn a_place_that_is_taken_by_a_directory_or_below_a_file() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("d")).unwrap();
    expect![[r#"
        error: the program image cannot be written
          where: d
          why:   it is a directory
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "d").refusal());
    scratch.write("f", "text");
    expect![[r#"
        error: the program image cannot be written
          where: f/p.json
          why:   Not a directory (os error 20)
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "f/p.json").refusal());
    assert_eq!(scratch.names(), ["d", "f"]);
}

#[cfg(unix)]
#[test]
fn a_write_protected_file_is_not_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    scratch.write("p.json", "precious");
    fs::set_permissions(scratch.path("p.json"), fs::Permissions::from_mode(0o444)).unwrap();
    expect![[r#"
        error: the program image cannot be written
          where: p.json
          why:   the file that stands there is write-protected
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "p.json").refusal());
    assert_eq!(fs::read(scratch.path("p.json")).unwrap(), b"precious");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let directory = scratch.path("d");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(directory.join("probe"), "").is_ok() {
        eprintln!("skipped: this user writes to read-only directories");
        return;
    }
    expect![[r#"
        error: the program image cannot be written
          where: d/p.json
          why:   Permission denied (os error 13)
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "d/p.json").refusal());
    assert!(scratch.lpu(&["generate", "--board", "ulx3s-12f", "--out", "d/g"]).refusal().contains("Permission denied"));
    assert!(names(&directory).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_takes_no_files() {
    // Not even the superuser makes files here, whatever the reason given.
    let scratch = Scratch::new();
    assert!(compile_to(&scratch, "/proc/p.json").refusal().contains("where: /proc/p.json"));
    assert!(
        scratch.lpu(&["generate", "--board", "ulx3s-12f", "--out", "/proc/g"]).refusal().contains("where: /proc/g")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let scratch = Scratch::new();
    expect![[r#"
        error: the program image cannot be written
          where: /dev/full
          why:   No space left on device (os error 28)
          help:  choose a path in a directory that exists and can be written, on a disk with room
    "#]]
    .assert_eq(compile_to(&scratch, "/dev/full").refusal());
}

#[test]
fn an_older_output_is_replaced_and_nothing_else_appears() {
    let scratch = Scratch::new();
    scratch.write("p.json", "old");
    assert_eq!(compile_to(&scratch, "p.json").status, 0);
    assert!(fs::read_to_string(scratch.path("p.json")).unwrap().starts_with("{\"format\""));
    assert_eq!(scratch.names(), ["p.json"]);
}

#[cfg(unix)]
#[test]
fn an_output_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    scratch.write("any", "");
    compile_to(&scratch, "p.json");
    let mode = |name| fs::metadata(scratch.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("p.json"), mode("any"));
}
