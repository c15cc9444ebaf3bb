//! From data to the bytes of a FlatBuffer.

use flatbuffers::{FlatBufferBuilder, Push, TableFinishedWIPOffset, UnionWIPOffset, WIPOffset};

use super::{Model, Operator, Options, Tensor, code};

type Written = WIPOffset<TableFinishedWIPOffset>;

/// One field of a table: its number in the schema and how it is pushed.
fn push<T: Push>(builder: &mut FlatBufferBuilder<'_>, field: u16, value: T) {
    builder.push_slot_always(4 + 2 * field, value);
}

impl Model {
    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let mut buffers = vec![write_buffer(&mut builder, &[], false)];
        let none = (Vec::new(), Vec::new());
        let (initial_tensors, initial_operators) = self.initial.as_ref().unwrap_or(&none);
        let mut codes: Vec<i32> =
            self.operators.iter().chain(initial_operators).map(|operator| operator.code).collect();
        codes.sort_unstable();
        codes.dedup();
        let interface = (self.inputs.as_slice(), self.outputs.as_slice());
        let main = write_subgraph(&mut builder, &mut buffers, &codes, &self.tensors, &self.operators, interface);
        let mut subgraphs = vec![main; self.subgraphs];
        if self.initial.is_some() {
            let nothing: (&[i32], &[i32]) = (&[], &[]);
            let initial =
                write_subgraph(&mut builder, &mut buffers, &codes, initial_tensors, initial_operators, nothing);
            subgraphs.push(initial);
        }
        let codes: Vec<Written> = codes.into_iter().map(|code| write_code(&mut builder, code)).collect();
        let subgraphs = builder.create_vector(&subgraphs);
        let buffers = builder.create_vector(&buffers);
        let codes = builder.create_vector(&codes);
        let description = builder.create_string("written by a test");
        let start = builder.start_table();
        push(&mut builder, 0, self.version);
        push(&mut builder, 1, codes);
        push(&mut builder, 2, subgraphs);
        push(&mut builder, 3, description);
        push(&mut builder, 4, buffers);
        let model = builder.end_table(start);
        builder.finish(model, Some("TFL3"));
        builder.finished_data().to_vec()
    }
}

/// A subgraph, whose constants go to the end of `buffers` and whose operators name their codes' positions in `codes`.
fn write_subgraph(
    builder: &mut FlatBufferBuilder<'_>,
    buffers: &mut Vec<Written>,
    codes: &[i32],
    tensors: &[Tensor],
    operators: &[Operator],
    (inputs, outputs): (&[i32], &[i32]),
) -> Written {
    let mut written_tensors = Vec::new();
    for tensor in tensors {
        let buffer = tensor.data.as_ref().map_or(0, |data| {
            buffers.push(write_buffer(builder, data, tensor.outside));
            buffers.len() as u32 - 1
        });
        written_tensors.push(write_tensor(builder, tensor, buffer));
    }
    let index = |operator: &Operator| codes.binary_search(&operator.code).unwrap_or_default() as u32;
    let operators: Vec<Written> =
        operators.iter().map(|operator| write_operator(builder, operator, index(operator))).collect();
    let tensors = builder.create_vector(&written_tensors);
    let inputs = builder.create_vector(inputs);
    let outputs = builder.create_vector(outputs);
    let operators = builder.create_vector(&operators);
    let name = builder.create_string("main");
    let start = builder.start_table();
    push(builder, 0, tensors);
    push(builder, 1, inputs);
    push(builder, 2, outputs);
    push(builder, 3, operators);
    push(builder, 4, name);
    builder.end_table(start)
}

fn write_buffer(builder: &mut FlatBufferBuilder<'_>, data: &[u8], outside: bool) -> Written {
    let vector = (!data.is_empty()).then(|| builder.create_vector(data));
    let start = builder.start_table();
    if outside {
        push(builder, 1, 4096_u64);
        push(builder, 2, data.len() as u64);
    } else if let Some(vector) = vector {
        push(builder, 0, vector);
    }
    builder.end_table(start)
}

fn write_tensor(builder: &mut FlatBufferBuilder<'_>, tensor: &Tensor, buffer: u32) -> Written {
    let name = builder.create_string(&tensor.name);
    let shape = builder.create_vector(&tensor.shape);
    let quantisation = (!tensor.scales.is_empty()).then(|| {
        let scales = builder.create_vector(&tensor.scales);
        let zero_points = builder.create_vector(&tensor.zero_points);
        let start = builder.start_table();
        push(builder, 2, scales);
        push(builder, 3, zero_points);
        push(builder, 6, tensor.axis);
        builder.end_table(start)
    });
    let sparsity = tensor.sparse.then(|| {
        let start = builder.start_table();
        builder.end_table(start)
    });
    let start = builder.start_table();
    push(builder, 0, shape);
    push(builder, 1, tensor.element);
    push(builder, 2, buffer);
    push(builder, 3, name);
    if let Some(quantisation) = quantisation {
        push(builder, 4, quantisation);
    }
    push(builder, 5, u8::from(tensor.variable));
    if let Some(sparsity) = sparsity {
        push(builder, 6, sparsity);
    }
    builder.end_table(start)
}

fn write_operator(builder: &mut FlatBufferBuilder<'_>, operator: &Operator, index: u32) -> Written {
    let inputs = builder.create_vector(&operator.inputs);
    let outputs = builder.create_vector(&operator.outputs);
    let union = options_code(operator.code);
    let options = (union != 0).then(|| WIPOffset::<UnionWIPOffset>::new(write_options(builder, operator).value()));
    let start = builder.start_table();
    push(builder, 0, index);
    push(builder, 1, inputs);
    push(builder, 2, outputs);
    if let Some(options) = options {
        push(builder, 3, union);
        push(builder, 4, options);
    }
    builder.end_table(start)
}

/// The code of an operator's options in the union of all of them; 0 for one that has none.
fn options_code(operator: i32) -> u8 {
    match operator {
        code::CONV_2D => 1,
        code::DEPTHWISE_CONV_2D => 2,
        code::AVERAGE_POOL_2D | code::MAX_POOL_2D => 5,
        code::FULLY_CONNECTED => 8,
        code::SOFTMAX => 9,
        code::CONCATENATION => 10,
        code::ADD => 11,
        code::RESHAPE => 17,
        code::MUL => 21,
        code::PAD => 22,
        code::MEAN => 27,
        code::STRIDED_SLICE => 32,
        code::SPLIT => 35,
        code::SPLIT_V => 79,
        code::CALL_ONCE => 103,
        code::VAR_HANDLE => 111,
        _ => 0,
    }
}

fn write_options(builder: &mut FlatBufferBuilder<'_>, operator: &Operator) -> Written {
    let name = match &operator.options {
        Options::VarHandle { name } => Some((builder.create_string(""), builder.create_string(name))),
        _ => None,
    };
    let start = builder.start_table();
    match (&operator.options, operator.code) {
        (_, code::FULLY_CONNECTED) => {
            push(builder, 0, operator.activation);
            push(builder, 1, operator.weights_format);
        }
        (_, code::ADD | code::MUL) => push(builder, 0, operator.activation),
        (_, code::SPLIT | code::SPLIT_V) => push(builder, 0, operator.outputs.len() as i32),
        (Options::Convolution { padding, stride, dilation, multiplier }, kind) => {
            push(builder, 0, *padding);
            push(builder, 1, stride[1]);
            push(builder, 2, stride[0]);
            // A depthwise convolution has one field more, before these.
            let depthwise = u16::from(kind == code::DEPTHWISE_CONV_2D);
            if depthwise == 1 {
                push(builder, 3, *multiplier);
            }
            push(builder, 3 + depthwise, operator.activation);
            push(builder, 4 + depthwise, dilation[1]);
            push(builder, 5 + depthwise, dilation[0]);
        }
        (Options::Pool { padding, stride, size }, _) => {
            push(builder, 0, *padding);
            push(builder, 1, stride[1]);
            push(builder, 2, stride[0]);
            push(builder, 3, size[1]);
            push(builder, 4, size[0]);
            push(builder, 5, operator.activation);
        }
        (Options::Softmax { beta }, _) => push(builder, 0, *beta),
        (Options::Concatenation { axis }, _) => {
            push(builder, 0, *axis);
            push(builder, 1, operator.activation);
        }
        (Options::Mean { keep_axes }, _) => push(builder, 0, u8::from(*keep_axes)),
        (Options::StridedSlice { masks }, _) => {
            (0..).zip(masks).for_each(|(field, &mask)| push(builder, field, mask));
        }
        (Options::CallOnce { subgraph }, _) => push(builder, 0, *subgraph),
        _ => (),
    }
    if let Some((container, name)) = name {
        push(builder, 0, container);
        push(builder, 1, name);
    }
    builder.end_table(start)
}

fn write_code(builder: &mut FlatBufferBuilder<'_>, code: i32) -> Written {
    let custom = (code == code::CUSTOM).then(|| builder.create_string("TheirOwn"));
    let start = builder.start_table();
    push(builder, 0, code.min(127) as i8);
    if let Some(custom) = custom {
        push(builder, 1, custom);
    }
    push(builder, 2, 1_i32);
    push(builder, 3, code);
    builder.end_table(start)
}
