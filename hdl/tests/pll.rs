//! The dividers of the PLLs: those that the vendors' tools and their equivalents choose, and never outside the limits.
#![allow(clippy::unwrap_used)]

use lpu_hdl::board::pll::{Pll, PllError, limits};
use lpu_hdl::layer::Design;
use lpu_hdl::primitives;
use lpu_isa::board::Family;
use proptest::prelude::*;

const MHZ: u64 = 1_000_000;

fn dividers(family: Family, oscillator_mhz: u64, clock_hz: u64) -> (u64, u64, u64, String) {
    let pll = Pll::new(family, oscillator_mhz * MHZ, clock_hz).unwrap();
    (pll.reference, pll.feedback, pll.post, format!("{:.3} {:.3}", pll.clock_mhz(), pll.loop_oscillator_mhz()))
}

/// `ecppll -i 25 -o CLOCK` (and `-i 12 -o 100`): "Refclk divisor", "Feedback divisor", "clkout0 divisor", "clkout0 frequency"
/// and "VCO frequency" of version 0.11.1.
#[test]
fn ecp5_dividers_are_those_of_ecppll() {
    for (oscillator, clock, reference, feedback, post, frequencies) in [
        (25, 100, 1, 4, 6, "100.000 600.000"),
        (25, 125, 1, 5, 5, "125.000 625.000"),
        (25, 150, 1, 6, 4, "150.000 600.000"),
        (25, 185, 5, 37, 3, "185.000 555.000"),
        (25, 200, 1, 8, 3, "200.000 600.000"),
        (12, 100, 3, 25, 6, "100.000 600.000"),
    ] {
        let expected = (reference, feedback, post, frequencies.to_string());
        assert_eq!(dividers(Family::Ecp5, oscillator, clock * MHZ), expected, "{clock} MHz");
    }
    // ecppll takes the nearest (83.333 and 78.125 MHz); that would be faster than what was asked for.
    assert_eq!(dividers(Family::Ecp5, 25, 83 * MHZ).3, "82.143 575.000");
    assert_eq!(dividers(Family::Ecp5, 25, 77 * MHZ).3, "75.000 600.000");
}

/// `icepll -i 12 -o CLOCK`: DIVR + 1, DIVF + 1, 2 to the power of DIVQ, F_PLLOUT, F_VCO and FILTER_RANGE of version 0.11.1.
#[test]
fn ice40_dividers_are_those_of_icepll() {
    for (clock, feedback, post, frequencies) in [
        (20, 53, 32, "19.875 636.000"),
        (24, 64, 32, "24.000 768.000"),
        (36, 48, 16, "36.000 576.000"),
        (48, 64, 16, "48.000 768.000"),
    ] {
        let expected = (1, feedback, post, frequencies.to_string());
        assert_eq!(dividers(Family::Ice40, 12, clock * MHZ), expected, "{clock} MHz");
        assert_eq!(Pll::new(Family::Ice40, 12 * MHZ, clock * MHZ).unwrap().filter_range(), 1);
    }
    // icepll takes 50.25 MHz for 50.
    assert_eq!(dividers(Family::Ice40, 12, 50 * MHZ).3, "49.500 792.000");
}

/// `gowin_pll -i 27 -o CLOCK -d GW2AR-LV18QN88C8/I7`: IDIV_SEL + 1, FBDIV_SEL + 1, ODIV_SEL, CLKOUT and VCO of Apycula 0.32.
#[test]
fn gowin_dividers_are_those_of_gowin_pll() {
    for (clock_hz, reference, feedback, post, frequencies) in [
        (81 * MHZ, 1, 3, 8, "81.000 648.000"),
        (96 * MHZ, 9, 32, 8, "96.000 768.000"),
        (99 * MHZ, 3, 11, 8, "99.000 792.000"),
        (125 * MHZ, 8, 37, 8, "124.875 999.000"),
    ] {
        assert_eq!(dividers(Family::Gowin, 27, clock_hz), (reference, feedback, post, frequencies.to_string()));
    }
    // gowin_pll takes 100.286 MHz for 100.
    assert_eq!(dividers(Family::Gowin, 27, 100 * MHZ).3, "99.000 792.000");
}

#[test]
fn the_texts_carry_the_dividers() {
    let text = |family, oscillator, clock| {
        let pll = Pll::new(family, oscillator * MHZ, clock * MHZ).unwrap();
        Design::new(primitives::pll(&pll)).unwrap().single_text_for(family)
    };
    let ecp5 = text(Family::Ecp5, 25, 185);
    assert!(ecp5.contains(".CLKI_DIV(5), .CLKFB_DIV(37), .CLKOP_DIV(3)"), "{ecp5}");
    assert!(ecp5.contains("FREQUENCY_PIN_CLKI = \"25\", FREQUENCY_PIN_CLKOP = \"185\""), "{ecp5}");
    let ice40 = text(Family::Ice40, 12, 20);
    assert!(ice40.contains(".DIVR(4'd0), .DIVF(7'd52), .DIVQ(3'd5), .FILTER_RANGE(3'd1)"), "{ice40}");
    let gowin = text(Family::Gowin, 27, 96);
    assert!(gowin.contains(".FCLKIN(\"27\"),\n    .IDIV_SEL(8), .FBDIV_SEL(31), .ODIV_SEL(8)"), "{gowin}");
    // A family without a text of its own is given the behavioural twin.
    let pll = Pll::new(Family::Gowin, 27 * MHZ, 96 * MHZ).unwrap();
    let design = Design::new(primitives::pll(&pll)).unwrap();
    assert_eq!(design.single_text_for(Family::Ice40), design.single_text());
    let names: Vec<String> = design.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["behavioural/pll.v", "gowin/pll.v"]);
}

#[test]
fn what_no_loop_can_do_is_refused_with_the_range() {
    let refused = |family, oscillator_hz, clock_hz| Pll::new(family, oscillator_hz, clock_hz).unwrap_err();
    let error = refused(Family::Ecp5, 7 * MHZ, 100 * MHZ);
    assert_eq!(error.to_string(), "the PLL of the ecp5 takes 8 to 400 MHz, the oscillator has 7 MHz");
    let error = refused(Family::Ice40, 12 * MHZ, 12 * MHZ);
    assert_eq!(error.to_string(), "the PLL of the ice40 gives 16 to 275 MHz, not 12 MHz");
    let error = refused(Family::Gowin, 499_999_999, 5 * MHZ);
    assert!(matches!(error, PllError::Unreachable { .. }), "{error}");
    assert!(matches!(refused(Family::Gowin, u64::MAX, 5 * MHZ), PllError::Oscillator { .. }));
    assert!(matches!(refused(Family::Gowin, 27 * MHZ, u64::MAX), PllError::Clock { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_loop_is_within_the_limits_and_not_above_the_clock(
        family in prop::sample::select(&[Family::Ecp5, Family::Ice40, Family::Gowin][..]),
        oscillator_hz in 10 * MHZ..=133 * MHZ,
        clock_hz in 16 * MHZ..=275 * MHZ,
    ) {
        let Ok(pll) = Pll::new(family, oscillator_hz, clock_hz) else { return Ok(()) };
        let limits = limits(family);
        let within = |mhz: f64, from: u64, to: u64| mhz * 1e6 > from as f64 - 1.0 && mhz * 1e6 < to as f64 + 1.0;
        prop_assert!(pll.clock_mhz() * 1e6 <= clock_hz as f64 * (1.0 + 1e-12));
        prop_assert!(within(pll.clock_mhz(), limits.output.from, limits.output.to));
        prop_assert!(within(pll.detector_mhz(), limits.detector.from, limits.detector.to));
        prop_assert!(within(pll.loop_oscillator_mhz(), limits.loop_oscillator.from, limits.loop_oscillator.to));
        // Dividers have so many bits.
        let (reference, feedback, post) = match family {
            Family::Ecp5 => (128, 80, 128),
            Family::Ice40 => (16, 128, 64),
            Family::Gowin => (64, 64, 128),
        };
        prop_assert!(pll.reference <= reference && pll.feedback <= feedback && pll.post <= post);
    }

    /// A multiple of the oscillator's frequency is reached exactly.
    #[test]
    fn multiples_of_the_oscillator_are_exact(factor in 2..8u64) {
        for family in [Family::Ecp5, Family::Ice40, Family::Gowin] {
            let pll = Pll::new(family, 25 * MHZ, factor * 25 * MHZ).unwrap();
            prop_assert_eq!(pll.clock_hz(), factor * 25 * MHZ);
        }
    }
}
