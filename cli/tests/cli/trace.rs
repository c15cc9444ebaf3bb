//! `lpu trace`: the page's data, and the page in a browser where there is one.

use crate::support::{Scratch, digits, language_board};
use lpu_compiler::import::llama::llama2c;
use lpu_compiler::llama::model::Shape;
use lpu_tests::llama::{random_model, small_shape};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The page of the digits network.
fn network(scratch: &Scratch) -> String {
    let called = scratch.lpu(&["trace", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", "s.html"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    assert!(called.stdout.starts_with("s.html: ") && called.stdout.ends_with(" cycles\n"), "{}", called.stdout);
    std::fs::read_to_string(scratch.path("s.html")).unwrap()
}

/// The page of a language model with two schedules for a token, and two for several tokens of a prompt.
fn language(scratch: &Scratch, more: &[&str]) -> String {
    let shape = Shape { context: 40, ..small_shape() };
    scratch.write("m.bin", llama2c::export(&random_model(4, &shape, true)));
    scratch.write("board.toml", language_board(4096));
    let called = scratch.lpu(&[&["trace", "m.bin", "--config", "board.toml", "--out", "s.html"], more].concat());
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    assert!(called.stdout.ends_with(" cycles, and 3 other schedules\n"), "{}", called.stdout);
    std::fs::read_to_string(scratch.path("s.html")).unwrap()
}

/// What the script reads.
fn data(page: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let from = page.find(start).unwrap() + start.len();
    let length = page[from..].find("</script>").unwrap();
    serde_json::from_str(&page[from..from + length]).unwrap()
}

fn numbers(row: &Value) -> Vec<i64> {
    row.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

/// Every cycle of every unit is covered by an instruction or by a gap, none by both; steps fill their instructions.
fn is_complete(data: &Value) {
    let units = data["units"].as_array().unwrap().len();
    for schedule in data["schedules"].as_array().unwrap() {
        let cycles = schedule["cycles"].as_u64().unwrap() as usize;
        let mut seen = vec![vec![0u8; cycles]; units];
        for span in schedule["spans"].as_array().unwrap() {
            let &[unit, _, layer, work, first, last, text, steps, runs, pause, gap] = &numbers(span)[..] else {
                panic!("{span}")
            };
            assert!(layer < data["layers"].as_array().unwrap().len() as i64 && (0..4).contains(&work), "{span}");
            assert!((text as usize) < data["texts"].as_array().unwrap().len(), "{span}");
            let run = steps + (steps - 1) * pause;
            assert_eq!(last - first + 1, runs * run + (runs - 1) * gap, "{span}");
            seen[unit as usize][first as usize..=last as usize].iter_mut().for_each(|cycle| *cycle += 1);
        }
        assert!(seen.iter().flatten().all(|&times| times <= 1), "two instructions of one unit at once");
        let listed = schedule["gaps"].as_array().unwrap();
        assert!(listed.is_sorted_by_key(|gap| numbers(gap)[1] - numbers(gap)[2]), "the longest gap comes first");
        for gap in listed {
            let &[unit, first, last, before, behind] = &numbers(gap)[..] else { panic!("{gap}") };
            assert!(first <= last && before >= -1 && behind >= -1, "{gap}");
            seen[unit as usize][first as usize..=last as usize].iter_mut().for_each(|cycle| *cycle += 1);
        }
        let idle = seen.iter().flatten().filter(|&&times| times != 1).count();
        assert!(schedule["gaps_left_out"] != 0 || idle == 0, "{idle} cycles are neither work nor gap");
        let spent = schedule["cycles_spent"].as_object().unwrap().values();
        assert_eq!(spent.map(|cycles| cycles.as_u64().unwrap() as usize).sum::<usize>(), cycles);
    }
}

#[test]
fn the_page_of_a_network_shows_every_cycle_of_every_unit_and_needs_nothing_from_outside() {
    let scratch = Scratch::new();
    let page = network(&scratch);
    for outside in ["http://", "https://", "src=", "href=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let data = data(&page);
    assert_eq!((&data["model"], data["schedules"].as_array().unwrap().len()), (&"digits".into(), 1));
    let program: Value =
        serde_json::from_slice(&std::fs::read(scratch.path(&scratch.program("p.json"))).unwrap()).unwrap();
    assert_eq!(data["schedules"][0]["cycles"], program["cycles"]);
    assert_eq!(data["layers"].as_array().unwrap().len(), program["layers"].as_array().unwrap().len());
    assert_eq!(data["schedules"][0]["cycles_spent"]["attention"], 0);
    is_complete(&data);
}

#[test]
fn the_page_of_a_language_model_holds_a_schedule_for_each_length_of_the_context() {
    let scratch = Scratch::new();
    let data = data(&language(&scratch, &[]));
    let schedules = data["schedules"].as_array().unwrap();
    assert_eq!((schedules.len(), &data["first"]), (4, &1.into()));
    assert!(schedules[0]["cycles"].as_u64().unwrap() < schedules[1]["cycles"].as_u64().unwrap());
    for schedule in schedules {
        assert!(schedule["cycles_spent"]["attention"].as_u64().unwrap() > 0);
    }
    is_complete(&data);
    let data = self::data(&language(&scratch, &["--position", "31"]));
    assert_eq!(data["first"], 0);
}

#[test]
fn a_name_cannot_end_the_page_s_data() {
    let scratch = Scratch::new();
    std::fs::copy(digits("digits.tflite"), scratch.path("<script>alert(1)<!--.tflite")).unwrap();
    let called = scratch.lpu(&["trace", "<script>alert(1)<!--.tflite", "--board", "ulx3s-12f", "--out", "s.html"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    let page = std::fs::read_to_string(scratch.path("s.html")).unwrap();
    assert!(!page.contains("<script>alert") && page.contains("\\u003cscript>alert"));
    assert_eq!(data(&page)["model"], "<script>alert(1)<!--");
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let scratch = Scratch::new();
    let network = digits("digits.tflite");
    let position = scratch.lpu(&["trace", &network, "--out", "s.html", "--position", "3"]);
    assert!(position.refusal().contains("it has no positions"), "{}", position.stderr);
    let nowhere = scratch.lpu(&["trace", &network, "--board", "ulx3s-12f", "--out", "no/s.html"]);
    assert!(nowhere.refusal().contains("no/s.html"), "{}", nowhere.stderr);
    assert!(scratch.lpu(&["trace", "nothing.tflite", "--out", "s.html"]).refusal().contains("No such file"));
    assert!(!scratch.names().contains(&"s.html".to_string()));
}

/// A browser that can be run without a display.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("LPU_BROWSER").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = || {
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let places = std::env::split_paths(&paths).flat_map(|place| names.map(|name| place.join(name)));
        places.into_iter().find(|path| path.is_file())
    };
    let browser = named.or_else(found);
    if browser.is_none() {
        eprintln!(
            "skipped: no chromium (apt-get install chromium, or LPU_BROWSER names one); the page's data is tested without"
        );
    }
    browser
}

/// The page after its script has run, opened at `place`.
fn opened(browser: &PathBuf, scratch: &Scratch, place: &str) -> String {
    let profile = scratch.path("profile");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--window-size=1400,1200", "--virtual-time-budget=5000", "--timeout=60000", "--dump-dom"])
        .arg(format!("file://{}#{place}", scratch.path("s.html").display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_browser_shows_the_page() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new();
    let data = data(&language(&scratch, &[]));
    let spans = data["schedules"][0]["spans"].as_array().unwrap();
    let span = spans.iter().map(numbers).find(|span| span[3] == 1).unwrap();
    let place = format!("schedule=0&from=0&to=300&unit={}&cycle={}", span[0], span[4]);
    let page = opened(&browser, &scratch, &place);
    assert!(page.contains("data-ready=\"true\""), "the script did not reach its end: {page}");
    assert!(!page.contains("data-error"), "{page}");
    for unit in data["units"].as_array().unwrap() {
        assert!(page.contains(&format!("<div>{}<span", unit.as_str().unwrap())), "{unit}");
    }
    // The hover's text is that of the instruction asked for.
    let text = data["texts"][span[6] as usize].as_str().unwrap();
    assert!(page.contains(text), "{text}");
    assert!(page.contains("cycles 0 to 299"), "the part of the run that was asked for");
    // The gaps of the first unit, below a header.
    let gaps = data["schedules"][0]["gaps"].as_array().unwrap();
    assert_eq!(page.matches("<tr>").count(), 1 + gaps.iter().filter(|gap| gap[0] == 0).count());
    assert!(page.contains("positions below 32</option>"));
}
