//! Networks that keep something from one inference to the next.

use super::draft::{Draft, Scale};
use crate::random::Random;
use crate::tflite_writer::{Model, Operator, Options, Tensor, code};

fn handle(number: usize) -> Tensor {
    let plain = Tensor::activation("handle", &[], 1.0, 0);
    Tensor { name: format!("handle_{number}"), element: code::RESOURCE, scales: vec![], zero_points: vec![], ..plain }
}

fn options(number: usize) -> Options {
    Options::VarHandle { name: format!("stream_{number}/states") }
}

/// One or two rings, one behind the other: the state and the input in one row, whose end is the next state. The whole row goes
/// on; sometimes what has just been assigned is read once more in front of it. First values come from a subgraph that is run
/// once, or there are none.
pub(super) fn stream(random: &mut Random) -> Model {
    let scale = Scale::near(random, 0.05);
    let (step, channels) = (random.within(1, 4), random.within(1, 6));
    let mut draft = Draft::new(&[1, step, 1, channels], scale);
    let rings: Vec<usize> = (0..random.within(1, 2)).map(|_| random.within(1, 5)).collect();
    if random.below(3) > 0 {
        let (mut tensors, mut operators) = (Vec::new(), Vec::new());
        for (number, &length) in rings.iter().enumerate() {
            let values = (0..length * channels).map(|_| random.byte() as u8).collect();
            let shape = [1, length, 1, channels];
            let constant = Tensor::constant("first", &shape, code::INT8, vec![scale.0], values);
            tensors.extend([handle(number), Tensor { zero_points: vec![scale.1.into()], ..constant }]);
            let (variable, value) = (2 * number as i32, 2 * number as i32 + 1);
            let plain = Operator::plain(code::VAR_HANDLE, vec![], vec![variable]);
            operators.push(Operator { options: options(number), ..plain });
            operators.push(Operator::plain(code::ASSIGN_VARIABLE, vec![variable, value], vec![]));
        }
        draft.initial(tensors, operators);
        let plain = Operator::plain(code::CALL_ONCE, vec![], vec![]);
        draft.apply(Operator { options: Options::CallOnce { subgraph: 1 }, ..plain });
    }
    let (mut last, mut rows) = (0, step);
    for (number, &length) in rings.iter().enumerate() {
        let variable = draft.one(code::VAR_HANDLE, &[], 0, options(number), handle(number));
        let shape = |rows: usize| Tensor::activation("rows", &[1, rows, 1, channels], scale.0, scale.1);
        let state = draft.one(code::READ_VARIABLE, &[variable], 0, Options::Plain, shape(length));
        let joined = Options::Concatenation { axis: 1 };
        let row = draft.one(code::CONCATENATION, &[state, last], 0, joined.clone(), shape(length + rows));
        let begin = draft.integers(&[0, rows as i32, 0, 0]);
        let end = draft.integers(&[0; 4]);
        let strides = draft.integers(&[1; 4]);
        let slice = Options::StridedSlice { masks: [0b1101, 0b1111, 0, 0, 0] };
        let next = draft.one(code::STRIDED_SLICE, &[row, begin, end, strides], 0, slice, shape(length));
        draft.apply(Operator::plain(code::ASSIGN_VARIABLE, vec![variable, next], vec![]));
        (last, rows) = (row, length + rows);
        if random.coin() {
            let again = draft.one(code::READ_VARIABLE, &[variable], 0, Options::Plain, shape(length));
            last = draft.one(code::CONCATENATION, &[again, last], 0, joined, shape(length + rows));
            rows += length;
        }
    }
    draft.model(last)
}
