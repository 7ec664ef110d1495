//! Commands that succeed, fail, talk, hang; steps that end up in the table.

use super::*;

fn shell(script: &str) -> Cmd {
    Cmd::new("sh").args(["-c", script])
}

#[test]
fn reads_standard_output() {
    assert_eq!(shell("echo out; echo err >&2").read().unwrap(), "out\n");
}

#[test]
fn a_failure_names_the_command_its_status_and_what_it_said() {
    let error = shell("echo the reason >&2; exit 3").read().unwrap_err().to_string();
    assert!(error.contains("`sh -c"), "{error}");
    assert!(error.contains("exit status: 3"), "{error}");
    assert!(error.contains("the reason"), "{error}");
}

#[test]
fn a_failure_repeats_only_the_last_lines() {
    let error = shell("i=0; while [ $i -lt 100 ]; do echo line$i. >&2; i=$((i+1)); done; exit 1").read();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("line99.") && error.contains("line80."), "{error}");
    assert!(!error.contains("line79."), "{error}");
}

#[test]
fn a_missing_program_is_named() {
    let error = format!("{:#}", Cmd::new("no-such-program-of-weft").run().unwrap_err());
    assert!(error.contains("no-such-program-of-weft") && error.contains("installed"), "{error}");
}

#[test]
fn more_output_than_a_pipe_holds_does_not_block() {
    let out = shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2").read().unwrap();
    assert_eq!(out.len(), 300_000);
}

#[test]
fn a_command_past_its_deadline_is_ended() {
    let started = Instant::now();
    let error = Cmd::new("sleep").args(["60"]).deadline(Duration::from_millis(100)).run().unwrap_err().to_string();
    assert!(error.contains("did not end"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_table_has_every_step_with_its_outcome() {
    let mut steps = Steps::new();
    steps.step("good", || Ok(())).unwrap();
    steps.step("bad", || -> Result<()> { bail!("no") }).unwrap_err();
    steps.skip("later", "not today");
    let table = steps.table();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("good") && lines[0].contains("ok"), "{table}");
    assert!(lines[1].contains("bad") && lines[1].contains("FAILED"), "{table}");
    assert!(lines[2].contains("later") && lines[2].contains("skipped"), "{table}");
}
