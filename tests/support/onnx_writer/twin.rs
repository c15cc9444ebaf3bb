//! A TensorFlow Lite model in ONNX: the same integers, the same scales, images with their channels last on both sides.

use lpu_compiler::import::onnx::schema::{Attribute, Model, data_type};

use super::{Content, Writer, integer, integers, text};
use crate::tflite_writer::{self, Operator, Options, Tensor, code};

/// What stands for an optional input that is absent.
const ABSENT: i32 = -1;

/// The same network in ONNX; `None` for what ONNX has no operator for: state, a softmax with another factor than 1, weights of four
/// bits.
#[must_use]
pub fn twin(model: &tflite_writer::Model) -> Option<Model> {
    let mut twin = Twin { model, writer: Writer::default(), known: vec![false; model.tensors.len()] };
    for (number, operator) in model.operators.iter().enumerate() {
        twin.operator(number, operator)?;
    }
    let info = |tensor: i32| {
        let tensor = &model.tensors[tensor as usize];
        let element = if tensor.element == code::UINT8 { data_type::UINT8 } else { data_type::INT8 };
        (tensor.name.clone(), element, shape(tensor))
    };
    let (input, output) = (info(model.inputs[0]), info(model.outputs[0]));
    Some(twin.writer.model((&input.0, input.1, &input.2), (&output.0, output.1, &output.2)))
}

struct Twin<'a> {
    model: &'a tflite_writer::Model,
    writer: Writer,
    /// Whether a tensor's scale and zero point are constants of the file already.
    known: Vec<bool>,
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.shape.iter().map(|&size| size as usize).collect()
}

/// Little-endian integers.
fn int32(tensor: &Tensor) -> Vec<i32> {
    let data = tensor.data.as_deref().unwrap_or_default();
    data.as_chunks::<4>().0.iter().map(|&word| i32::from_le_bytes(word)).collect()
}

/// `bytes`, row-major in `shape`, with the axes in the order `order`.
fn permuted(bytes: &[u8], shape: &[usize], order: &[usize]) -> Vec<i8> {
    let stride = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    let mut numbers = vec![0];
    for &axis in order {
        numbers = numbers.iter().flat_map(|&at| (0..shape[axis]).map(move |step| at + step * stride(axis))).collect();
    }
    numbers.into_iter().map(|number| bytes[number] as i8).collect()
}

impl<'a> Twin<'a> {
    fn tensor(&self, number: i32) -> &'a Tensor {
        &self.model.tensors[number as usize]
    }

    /// The names of a tensor's scale and zero point.
    fn quantisation(&mut self, number: i32) -> [String; 2] {
        let tensor = self.tensor(number);
        let name = &tensor.name;
        if std::mem::replace(&mut self.known[number as usize], true) {
            return [format!("{name}/scale"), format!("{name}/zero")];
        }
        let zero = tensor.zero_points[0];
        let zero = if tensor.element == code::UINT8 {
            Content::Uint8(vec![zero as u8])
        } else {
            Content::Int8(vec![zero as i8])
        };
        self.writer.quantisation(name, tensor.scales[0], &zero)
    }

    /// The real numbers of a tensor, for operator `at`. A constant becomes one of the file.
    fn real(&mut self, number: i32, at: usize) -> String {
        let tensor = self.tensor(number);
        if let Some(data) = &tensor.data {
            let data = Content::Int8(data.iter().map(|&byte| byte as i8).collect());
            self.writer.constant(&tensor.name, &shape(tensor), &data);
        }
        let [scale, zero] = self.quantisation(number);
        let real = format!("{}/real_{at}", tensor.name);
        self.writer.node("DequantizeLinear", &[&tensor.name, &scale, &zero], &real, vec![])
    }

    /// Real numbers clamped by a `Clip`: 2 for -1 to 1, 3 for 0 to 6.
    fn clip(&mut self, real: &str, activation: i8, name: &str) -> String {
        let (lowest, highest) = if activation == 2 { (-1.0, 1.0) } else { (0.0, 6.0) };
        let lowest = self.writer.constant(&format!("{name}/least"), &[], &Content::Float(vec![lowest]));
        let highest = self.writer.constant(&format!("{name}/most"), &[], &Content::Float(vec![highest]));
        self.writer.node("Clip", &[real, &lowest, &highest], &format!("{name}/clamped"), vec![])
    }

    /// Quantises the real numbers `real`, clamped, into a tensor.
    fn quantise(&mut self, real: &str, activation: i8, number: i32) {
        let name = self.tensor(number).name.clone();
        let real = match activation {
            0 => real.to_owned(),
            1 => self.writer.node("Relu", &[real], &format!("{name}/clamped"), vec![]),
            _ => self.clip(real, activation, &name),
        };
        let [scale, zero] = self.quantisation(number);
        self.writer.node("QuantizeLinear", &[&real, &scale, &zero], &name, vec![]);
    }

    /// Weights of operator `at`, with their axes in the order `order` and the shape `shape`, and its bias.
    fn parameters(&mut self, operator: &Operator, at: usize, order: &[usize], shape: &[usize]) -> Option<Vec<String>> {
        let (input, weights) = (self.tensor(operator.inputs[0]), self.tensor(operator.inputs[1]));
        if weights.element != code::INT8 {
            return None;
        }
        let data = permuted(weights.data.as_deref()?, &self::shape(weights), order);
        let name = &weights.name;
        let constant = self.writer.constant(name, shape, &Content::Int8(data));
        let scaled = |writer: &mut Writer, name: &str, constant: &str, scales: Vec<f32>, zero: Content| {
            let axes = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
            let scale = writer.constant(&format!("{name}/scale"), &axes, &Content::Float(scales));
            let zero = writer.constant(&format!("{name}/zero"), &axes, &zero);
            let real = format!("{name}/real_{at}");
            writer.node("DequantizeLinear", &[constant, &scale, &zero], &real, vec![integer("axis", 0)])
        };
        let count = weights.scales.len();
        let mut names =
            vec![scaled(&mut self.writer, name, &constant, weights.scales.clone(), Content::Int8(vec![0; count]))];
        if let Some(&bias) = operator.inputs.get(2).filter(|&&bias| bias != ABSENT) {
            let bias = self.tensor(bias);
            let values = int32(bias);
            let constant = self.writer.constant(&bias.name, &[values.len()], &Content::Int32(values));
            let scales = weights.scales.iter().map(|scale| input.scales[0] * scale).collect();
            names.push(scaled(&mut self.writer, &bias.name, &constant, scales, Content::Int32(vec![0; count])));
        }
        Some(names)
    }

    /// The attributes of windows of `size` taps from a tensor to another.
    fn windows(&self, options: &Options, size: [usize; 2], from: i32, to: i32) -> Option<Vec<Attribute>> {
        let (padding, stride, dilation) = match *options {
            Options::Convolution { padding, stride, dilation, .. } => (padding, stride, dilation),
            Options::Pool { padding, stride, .. } => (padding, stride, [1, 1]),
            _ => return None,
        };
        let [stride, dilation] = [stride, dilation].map(|pair| pair.map(|size| size as usize));
        let mut attributes = vec![integers("kernel_shape", &size), integers("strides", &stride)];
        if matches!(options, Options::Convolution { .. }) {
            attributes.push(integers("dilations", &dilation));
        }
        // onnxruntime knows automatic padding without dilation only, and lets averages begin behind the first element where windows
        // lie apart.
        if dilation == [1, 1] && (stride[0] <= size[0] && stride[1] <= size[1]) {
            attributes.push(text("auto_pad", if padding == 0 { "SAME_UPPER" } else { "VALID" }));
        } else if padding == 0 {
            let (from, to) = (shape(self.tensor(from)), shape(self.tensor(to)));
            let total = [0, 1].map(|axis| {
                let reached = (to[axis + 1] - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] + 1;
                reached.saturating_sub(from[axis + 1])
            });
            let [rows, columns] = total;
            attributes.push(integers("pads", &[rows / 2, columns / 2, rows - rows / 2, columns - columns / 2]));
        }
        Some(attributes)
    }

    /// An operator on images, whose channels ONNX has in front.
    fn on_images(
        &mut self,
        at: usize,
        kind: &str,
        operator: &Operator,
        parameters: &[String],
        attributes: Vec<Attribute>,
    ) {
        let real = self.real(operator.inputs[0], at);
        let name = &self.tensor(operator.outputs[0]).name;
        let turned =
            self.writer.node("Transpose", &[&real], &format!("{name}/in"), vec![integers("perm", &[0, 3, 1, 2])]);
        let mut inputs = vec![turned.as_str()];
        inputs.extend(parameters.iter().map(String::as_str));
        let result = self.writer.node(kind, &inputs, &format!("{name}/result"), attributes);
        let back =
            self.writer.node("Transpose", &[&result], &format!("{name}/out"), vec![integers("perm", &[0, 2, 3, 1])]);
        self.quantise(&back, operator.activation, operator.outputs[0]);
    }

    /// A constant of 64-bit integers for operator `at`.
    fn list(&mut self, at: usize, what: &str, values: &[i64]) -> String {
        self.writer.constant(&format!("{what}_{at}"), &[values.len()], &Content::Int64(values.to_vec()))
    }

    /// The integers of the constant that is input `number`.
    fn integers(&self, operator: &Operator, number: usize) -> Vec<i64> {
        int32(self.tensor(operator.inputs[number])).into_iter().map(i64::from).collect()
    }

    fn reshape(&mut self, at: usize, from: &str, to: &str, shape: &[usize]) -> String {
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let sizes = self.list(at, &format!("{to}/shape"), &sizes);
        self.writer.node("Reshape", &[from, &sizes], to, vec![])
    }

    fn operator(&mut self, at: usize, operator: &Operator) -> Option<()> {
        let name = |number: i32| self.tensor(number).name.clone();
        let (inputs, &output) = (&operator.inputs, operator.outputs.first()?);
        let to = name(output);
        let (result, to_shape) = (format!("{to}/result"), shape(self.tensor(output)));
        match operator.code {
            code::CONV_2D => {
                let weights = shape(self.tensor(inputs[1]));
                let [outputs, rows, columns, depth] = weights[..] else { return None };
                let channels = *shape(self.tensor(inputs[0])).last()?;
                let parameters = self.parameters(operator, at, &[0, 3, 1, 2], &[outputs, depth, rows, columns])?;
                let mut attributes = self.windows(&operator.options, [rows, columns], inputs[0], output)?;
                attributes.push(integer("group", (channels / depth) as i64));
                self.on_images(at, "Conv", operator, &parameters, attributes);
            }
            code::DEPTHWISE_CONV_2D => {
                let weights = shape(self.tensor(inputs[1]));
                let [_, rows, columns, outputs] = weights[..] else { return None };
                let channels = *shape(self.tensor(inputs[0])).last()?;
                let parameters = self.parameters(operator, at, &[3, 0, 1, 2], &[outputs, 1, rows, columns])?;
                let mut attributes = self.windows(&operator.options, [rows, columns], inputs[0], output)?;
                attributes.push(integer("group", channels as i64));
                self.on_images(at, "Conv", operator, &parameters, attributes);
            }
            code::FULLY_CONNECTED => {
                let weights = shape(self.tensor(inputs[1]));
                let parameters = self.parameters(operator, at, &[0, 1], &weights)?;
                let real = self.real(inputs[0], at);
                let row = self.reshape(at, &real, &format!("{to}/row"), &[1, weights[1]]);
                let mut operands = vec![row.as_str()];
                operands.extend(parameters.iter().map(String::as_str));
                let mut product =
                    self.writer.node("Gemm", &operands, &format!("{to}/product"), vec![integer("transB", 1)]);
                // A clamp is fused in front of the shape only.
                if operator.activation == 1 {
                    product = self.writer.node("Relu", &[&product], &format!("{to}/relu"), vec![]);
                } else if operator.activation != 0 {
                    product = self.clip(&product, operator.activation, &to);
                }
                let shaped = self.reshape(at, &product, &result, &to_shape);
                self.quantise(&shaped, 0, output);
            }
            code::AVERAGE_POOL_2D | code::MAX_POOL_2D => {
                let Options::Pool { size, .. } = operator.options else { return None };
                let size = size.map(|size| size as usize);
                let attributes = self.windows(&operator.options, size, inputs[0], output)?;
                let kind = if operator.code == code::MAX_POOL_2D { "MaxPool" } else { "AveragePool" };
                self.on_images(at, kind, operator, &[], attributes);
            }
            code::MEAN => {
                let axes = self.integers(operator, 1);
                let axes = self.list(at, "axes", &axes);
                let real = self.real(inputs[0], at);
                let Options::Mean { keep_axes } = operator.options else { return None };
                let keep = vec![integer("keepdims", keep_axes.into())];
                let mean = self.writer.node("ReduceMean", &[&real, &axes], &result, keep);
                self.quantise(&mean, 0, output);
            }
            code::ADD | code::MUL => {
                let [first, second] = [self.real(inputs[0], at), self.real(inputs[1], at)];
                let kind = if operator.code == code::ADD { "Add" } else { "Mul" };
                let sum = self.writer.node(kind, &[&first, &second], &result, vec![]);
                self.quantise(&sum, operator.activation, output);
            }
            code::SOFTMAX | code::LOGISTIC | code::QUANTIZE | code::RELU | code::RELU6 | code::RELU_N1_TO_1 => {
                if matches!(operator.options, Options::Softmax { beta } if beta != 1.0) {
                    return None;
                }
                let real = self.real(inputs[0], at);
                let (real, activation) = match operator.code {
                    code::SOFTMAX => (self.writer.node("Softmax", &[&real], &result, vec![integer("axis", -1)]), 0),
                    code::LOGISTIC => (self.writer.node("Sigmoid", &[&real], &result, vec![]), 0),
                    code::RELU => (real, 1),
                    code::RELU_N1_TO_1 => (real, 2),
                    code::RELU6 => (real, 3),
                    _ => (real, 0),
                };
                self.quantise(&real, activation, output);
            }
            code::RESHAPE => {
                let from = name(inputs[0]);
                self.reshape(at, &from, &to, &to_shape);
            }
            code::PAD => {
                let amounts = self.integers(operator, 1);
                let each = |from: usize| amounts.iter().skip(from).step_by(2).copied();
                let pads = self.list(at, "pads", &each(0).chain(each(1)).collect::<Vec<_>>());
                let zero = self.tensor(output).zero_points[0] as i8;
                let zero = self.writer.constant(&format!("filling_{at}"), &[], &Content::Int8(vec![zero]));
                let from = self.tensor(inputs[0]).name.clone();
                self.writer.node("Pad", &[&from, &pads, &zero], &to, vec![]);
            }
            code::CONCATENATION => {
                let Options::Concatenation { axis } = operator.options else { return None };
                for &input in inputs {
                    let tensor = self.tensor(input);
                    if let Some(data) = &tensor.data {
                        let data = Content::Int8(data.iter().map(|&byte| byte as i8).collect());
                        self.writer.constant(&tensor.name, &shape(tensor), &data);
                    }
                }
                let parts: Vec<String> = inputs.iter().map(|&input| self.tensor(input).name.clone()).collect();
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.writer.node("Concat", &parts, &to, vec![integer("axis", axis.into())]);
            }
            code::SPLIT | code::SPLIT_V => {
                let (from, axis) = if operator.code == code::SPLIT { (1, 0) } else { (0, 2) };
                let (from, axis) = (inputs[from], self.integers(operator, axis)[0]);
                let rank = self.tensor(from).shape.len() as i64;
                let place = axis.rem_euclid(rank) as usize;
                let sizes: Vec<i64> =
                    operator.outputs.iter().map(|&part| self.tensor(part).shape[place].into()).collect();
                let parts: Vec<String> = operator.outputs.iter().map(|&part| self.tensor(part).name.clone()).collect();
                let (sizes, from) = (self.list(at, "sizes", &sizes), self.tensor(from).name.clone());
                self.writer.nodes("Split", &[&from, &sizes], &parts, vec![integer("axis", axis)]);
            }
            code::STRIDED_SLICE => {
                let Options::StridedSlice { masks: [begin_mask, end_mask, _, _, shrink] } = operator.options else {
                    return None;
                };
                let [mut begin, mut end, mut step] = [1, 2, 3].map(|number| self.integers(operator, number));
                for axis in 0..begin.len() {
                    let has = |mask: i32| mask >> axis & 1 != 0;
                    let far = if step[axis] > 0 { i64::MAX } else { i64::MIN };
                    if has(begin_mask) {
                        begin[axis] = far.saturating_neg();
                    }
                    if has(end_mask) {
                        end[axis] = far;
                    }
                    if has(shrink) {
                        (step[axis], end[axis]) = (1, if begin[axis] == -1 { i64::MAX } else { begin[axis] + 1 });
                    }
                }
                let axes: Vec<i64> = (0..begin.len() as i64).collect();
                let lists = [("starts", begin), ("ends", end), ("axes", axes), ("steps", step)]
                    .map(|(what, values)| self.list(at, what, &values));
                let from = self.tensor(inputs[0]).name.clone();
                let [starts, ends, axes, steps] = &lists;
                let part = self.writer.node("Slice", &[&from, starts, ends, axes, steps], &result, vec![]);
                self.reshape(at, &part, &to, &to_shape);
            }
            _ => return None,
        }
        Some(())
    }
}
