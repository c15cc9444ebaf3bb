//! `lpu run` with two prompts: two texts at once.

use crate::language::{GENERATING, small};
use crate::support::{Called, Scratch};
use expect_test::expect;
use serde_json::Value;

/// Two texts of the small model, on `on` with the machine for it.
fn both(scratch: &Scratch, on: &str, prompts: [&str; 2], more: &[&str]) -> Called {
    let [first, second] = prompts;
    let common = ["run", "m.bin", "--config", "generating.toml", "--on", on, "--prompt", first, "--prompt", second];
    scratch.lpu(&[&common[..], more].concat())
}

/// Each text is the one that its prompt gives alone, and everything is as promised.
fn same_as_alone(scratch: &Scratch, report: &Value, prompts: [&str; 2], more: &[&str]) {
    for (number, prompt) in prompts.into_iter().enumerate() {
        let golden =
            scratch.lpu(&[&["run", "m.bin", "--on", "golden", "--prompt", prompt, "--json"], more].concat()).json();
        for key in ["tokens", "text", "ending", "prompt_tokens", "first_divergence"] {
            assert_eq!(report["sequences"][number][key], golden[key], "{prompt:?} {more:?}: {key}");
        }
    }
}

#[test]
fn two_texts_at_once_are_those_of_their_prompts_alone() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let prompts = [["abba", "o"], ["b", "a longer prompt"], ["", "ab"]];
    for (prompts, more) in prompts.into_iter().zip([
        &["--tokens", "6"][..],
        // One is full before the other, and both before they have as many tokens.
        &["--tokens", "1000"],
        &["--tokens", "5", "--temperature", "0.8", "--seed", "3"],
    ]) {
        for on in ["golden", "model"] {
            let called = both(&scratch, on, prompts, &[more, &["--json"]].concat());
            assert_eq!((called.status, called.stderr.as_str()), (0, ""), "{on} {prompts:?}");
            same_as_alone(&scratch, &called.json(), prompts, more);
        }
    }
}

#[test]
fn the_report_says_what_two_sequences_take_and_what_one_would() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let called = both(&scratch, "model", ["abba", "o"], &["--tokens", "6", "--json"]);
    let keys: Vec<&str> =
        called.stdout.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    expect![[r#"["model", "backend", "sequences", "temperature", "seed", "cycles_per_token", "tokens_per_second", "board", "context", "clock_mhz", "times_one_sequence", "cycles_as_predicted", "outputs_equal_golden", "multipliers", "mac_utilization", "cycles_spent", "wall_seconds"]"#]].assert_eq(&format!("{keys:?}"));
    let report = called.json();
    assert_eq!((&report["outputs_equal_golden"], &report["cycles_as_predicted"]), (&true.into(), &true.into()));
    let cycles: Vec<u64> =
        report["cycles_per_token"].as_array().unwrap().iter().map(|cycles| cycles.as_u64().unwrap()).collect();
    // The shorter prompt makes its first token earlier, and the longer one its last later.
    let tokens = |number: usize| report["sequences"][number]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(cycles.len() as u64, 6 + tokens(0) - tokens(1));
    let times = report["times_one_sequence"].as_f64().unwrap();
    assert!(times > 0.5 && times < 2.0, "{times}");
    let alone = scratch
        .lpu(&[
            "run",
            "m.bin",
            "--config",
            "generating.toml",
            "--on",
            "model",
            "--prompt",
            "abba",
            "--tokens",
            "6",
            "--json",
        ])
        .json();
    let one = alone["cycles_per_token"][0].as_u64().unwrap() as f64;
    // All positions have the same schedule.
    let expected = 12.0 * one / cycles.iter().sum::<u64>() as f64;
    assert!((times - expected).abs() < 1e-9, "{times} {expected}");

    let called = both(&scratch, "model", ["abba", "o"], &["--tokens", "6"]);
    let texts: Vec<&str> = (0..2).map(|number| report["sequences"][number]["text"].as_str().unwrap()).collect();
    assert_eq!(called.stdout, format!("{}\n\n{}\n", texts[0], texts[1]));
    for line in ["one sequence", "cycles a run", "all as predicted", "equal to golden, token by token"] {
        assert!(called.stderr.contains(line), "{line}: {}", called.stderr);
    }
}

#[test]
fn a_simulated_board_continues_two_texts() {
    if lpu_tests::witnesses::toolchain("two sequences on a board").is_none() {
        return;
    }
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let prompts = ["abba", "o"];
    let called = both(&scratch, "board", prompts, &["--tokens", "3", "--port", "sim", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    same_as_alone(&scratch, &report, prompts, &["--tokens", "3"]);
    assert_eq!((&report["outputs_equal_golden"], &report["cycles_as_predicted"]), (&true.into(), &true.into()));
    assert!(report["link"]["loaded_bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn a_program_for_two_sequences_is_compiled_checked_and_shown() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let with = |command: &str, out: &str, more: &[&str]| {
        let common = [command, "m.bin", "--config", "generating.toml", "--sequences", "2", "--out", out];
        let called = scratch.lpu(&[&common[..], more].concat());
        assert_eq!(called.status, 0, "{}", called.stderr);
        called
    };
    let report = with("compile", "p.json", &["--json"]).json();
    assert_eq!((&report["sequences"], report["schedules"].as_array().unwrap().len()), (&2.into(), 2));
    assert_eq!(scratch.lpu(&["check", "p.json"]).status, 0);
    let text = with("compile", "p.json", &[]).stdout;
    assert!(!text.contains("an inference"), "{text}");
    with("trace", "p.html", &[]);
    let page = std::fs::read_to_string(scratch.path("p.html")).unwrap();
    assert!(page.contains("a token of each sequence, positions below 16"));
    let network = crate::support::digits("digits.tflite");
    for (arguments, why) in [
        (
            ["compile", "m.bin", "--config", "generating.toml", "--sequences", "3", "--out", "q.json"],
            "3 is not in 1..=2",
        ),
        (
            ["compile", &network, "--board", "ulx3s-85f", "--sequences", "2", "--out", "q.json"],
            "leave out `--context`, `--sequences`",
        ),
    ] {
        let called = scratch.lpu(&arguments);
        assert!(called.status == 2 && called.stderr.contains(why), "{}", called.stderr);
    }
}

#[test]
fn what_two_sequences_cannot_have_is_refused() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let few = |what: &str| GENERATING.replace(what, &what.replace("15", "14").replace("64", "14"));
    scratch.write("registers.toml", few("registers = 15"));
    scratch.write("scalars.toml", few("scalars = 64"));
    scratch.write("small.toml", GENERATING.replace("weight_depth = 1024", "weight_depth = 300"));
    let long = "ab".repeat(30);
    for (config, more, why) in [
        (
            "generating.toml",
            &["--prompt", "c"][..],
            "a run takes in a token of one sequence or of two, and there are 3",
        ),
        ("generating.toml", &["--context", "3"], "the prompt has "),
        ("generating.toml", &["--context", "21"], "the context of this model is 20 tokens"),
        ("registers.toml", &[], "it needs 15 run-time registers, the machine has 14"),
        ("scalars.toml", &[], "scalars, the machine has 14"),
        ("small.toml", &["--context", "20"], "of context for each of two sequences does not fit"),
    ] {
        let common = ["run", "m.bin", "--on", "model", "--config", config, "--prompt", "abba", "--prompt", "o"];
        let called = scratch.lpu(&[&common[..], more].concat());
        assert!(called.refusal().contains(why), "{config} {more:?}: {}", called.stderr);
    }
    let called = both(&scratch, "golden", ["a", &long], &[]);
    assert!(called.refusal().contains("the context of this model 20"), "{}", called.stderr);
}
