//! Scratch.
use lpu_compiler::{compile::compile, import};
use lpu_isa::configuration::Configuration;
use lpu_sim::cycle::CycleModel;
mod golden {
    use lpu_compiler::graph::*;
    pub fn run(g: &Graph, x: &[i8]) -> Result<Vec<i8>, String> {
        let mut v: Vec<i32> = x.iter().map(|&a| a as i32).collect();
        for o in &g.operators {
            if let OperatorKind::FullyConnected(l) = &o.kind {
                v = (0..l.output_length)
                    .map(|c| {
                        let a = (0..l.input_length).fold(l.bias.as_ref().map_or(0, |b| b[c]), |s, k| {
                            s.wrapping_add(l.weights[c * l.input_length + k] as i32 * (v[k] - l.input_zero_point))
                        });
                        l.requantise(c).unwrap().apply(a)
                    })
                    .collect();
            }
        }
        Ok(v.iter().map(|&a| a as i8).collect())
    }
}
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let graph = import::read_model(std::path::Path::new(&path))?;
    let configuration = Configuration::default();
    let t = std::time::Instant::now();
    let program = compile(&graph, &configuration, "x")?;
    println!(
        "compiled {:?} cycles {} macs {} util {:.3}",
        t.elapsed(),
        program.cycles,
        program.macs,
        program.macs as f64 / (program.cycles as f64 * 144.0)
    );
    program.check()?;
    match lpu_compiler::checker::check(&program) {
        Ok(_) => println!("checked"),
        Err(v) => {
            for v in v.iter().take(5) {
                println!("{v}")
            }
        }
    }
    for l in &program.layers {
        println!(
            "{} {} {}..{} slice {} base {} beats {}",
            l.name, l.tiles, l.start, l.end, l.result.slice, l.result.base, l.result.beats
        );
    }
    std::fs::write("/work/scratch/p.json", program.to_json()?)?;
    let mut model = CycleModel::new(&program);
    let n = program.input.positions.len();
    let mut bad = 0;
    let t = std::time::Instant::now();
    let mut cycles = 0;
    for seed in 0..50i32 {
        let input: Vec<i8> = (0..n as i32).map(|i| ((i * 31 + seed * 17 + i * i * 7) % 256 - 128) as i8).collect();
        let out = model.run(&input)?;
        cycles += out.cycles;
        let expected = golden::run(&graph, &input)?;
        if out.output != expected {
            bad += 1;
            if seed < 3 {
                let d: Vec<usize> = (0..expected.len()).filter(|&i| out.output[i] != expected[i]).collect();
                println!("{} differ: {:?}", d.len(), &d[..d.len().min(40)]);
            }
        }
        if seed == 0 {
            println!("cycles {} {:?} {:?}", out.cycles, &out.output[..10], &expected[..10]);
            println!("{:?}", out.busy);
        }
    }
    println!("bad {bad}, {:.2} M cycles/s", cycles as f64 / t.elapsed().as_secs_f64() / 1e6);
    let input: Vec<i8> = (0..n as i32).map(|i| (i % 256 - 128) as i8).collect();
    let t = std::time::Instant::now();
    for _ in 0..500 {
        model.run(&input)?;
    }
    println!("cycle model alone {:.2} M cycles/s", 500.0 * 2210.0 / t.elapsed().as_secs_f64() / 1e6);
    let options = lpu_sim::rtl::Options {
        cache: "/work/scratch/vcache".into(),
        trace: None,
        record: std::env::args().nth(2).is_some(),
    };
    let t = std::time::Instant::now();
    let mut rtl = lpu_sim::rtl::Rtl::new(&program, &options)?;
    println!("built and loaded {:?}, transfer {}", t.elapsed(), rtl.transfer_cycles());
    let mut fresh = CycleModel::with_options(
        &program,
        lpu_sim::cycle::Options {
            latency: lpu_isa::latency::Latency::of(&configuration),
            rounding: lpu_isa::arithmetic::Rounding::Double,
            record: options.record,
        },
    );
    for input in [vec![1i8; n], vec![2i8; n]] {
        let before = rtl.simulated_cycles();
        let t = std::time::Instant::now();
        for _ in 0..100 {
            rtl.run(&input)?;
        }
        println!(
            "rtl rate {:.3} M cycles/s",
            (rtl.simulated_cycles() - before) as f64 / t.elapsed().as_secs_f64() / 1e6
        );
        let t = std::time::Instant::now();
        for _ in 0..2000 {
            model.run(&input)?;
        }
        println!("cycle model {:.3} M cycles/s", 2000.0 * 2210.0 / t.elapsed().as_secs_f64() / 1e6);
    }
    for seed in 0..1i32 {
        let input: Vec<i8> = (0..n as i32).map(|i| ((i * 31 + seed * 17 + i * i * 7) % 256 - 128) as i8).collect();
        let t = std::time::Instant::now();
        let out = rtl.run(&input)?;
        let e = t.elapsed();
        let model = fresh.run(&input)?;
        println!(
            "rtl cycles {} equal {} {:?} {:?}; {:.3} Mc/s; writes {} {}",
            out.cycles,
            out.output == model.output,
            &out.output[..8],
            &model.output[..8],
            out.cycles as f64 / e.as_secs_f64() / 1e6,
            out.writes.len(),
            out.writes == model.writes
        );
        if out.writes != model.writes {
            for (i, (a, b)) in out.writes.iter().zip(&model.writes).enumerate() {
                if a != b {
                    println!("{i} rtl {a:?}\nmodel {b:?}");
                    break;
                }
            }
        }
    }
    Ok(())
}
