//! The numbers and names of TensorFlow Lite's schema, version 3.

/// Names of the built-in operators at the positions that their codes name.
#[rustfmt::skip]
static OPERATORS: [&str; 210] = [
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE",
    "DEQUANTIZE", "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION", "L2_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION",
    "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1", "RELU6", "RESHAPE", "RESIZE_BILINEAR",
    "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL",
    "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD", "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER",
    "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2",
    "SPLIT", "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM",
    "ARG_MAX", "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL",
    "SELECT", "SLICE", "SIN", "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL",
    "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT",
    "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT",
    "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD",
    "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS",
    "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU",
    "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF",
    "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2",
    "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM",
    "CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE",
    "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE",
    "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "ATAN2",
    "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD", "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM",
    "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE", "STABLEHLO_BROADCAST_IN_DIM",
    "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE",
    "STABLEHLO_ABS", "STABLEHLO_AND", "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE", "STABLEHLO_OR",
    "STABLEHLO_POWER", "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_SCATTER", "STABLEHLO_COMPARE",
    "STABLEHLO_CONVERT", "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_PAD", "STABLEHLO_IOTA", "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW",
    "STABLEHLO_SORT", "STABLEHLO_WHILE", "STABLEHLO_GATHER", "STABLEHLO_TRANSPOSE", "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE", "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT", "STABLEHLO_CASE",
];

/// Names of the element types at the positions that their codes name.
#[rustfmt::skip]
static TYPES: [&str; 23] = [
    "FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "STRING", "BOOL", "INT16", "COMPLEX64", "INT8",
    "FLOAT64", "COMPLEX128", "UINT64", "RESOURCE", "VARIANT", "UINT32", "UINT16", "INT4",
    "BFLOAT16", "INT2", "UINT4", "FLOAT8_E4M3FN", "FLOAT8_E5M2",
];

/// Codes of the operators that are lowered.
pub(super) mod operator {
    pub(crate) const ADD: i32 = 0;
    pub(crate) const AVERAGE_POOL_2D: i32 = 1;
    pub(crate) const CONCATENATION: i32 = 2;
    pub(crate) const CONV_2D: i32 = 3;
    pub(crate) const DEPTHWISE_CONV_2D: i32 = 4;
    pub(crate) const FULLY_CONNECTED: i32 = 9;
    pub(crate) const LOGISTIC: i32 = 14;
    pub(crate) const MAX_POOL_2D: i32 = 17;
    pub(crate) const MUL: i32 = 18;
    pub(crate) const RELU: i32 = 19;
    pub(crate) const RELU_N1_TO_1: i32 = 20;
    pub(crate) const RELU6: i32 = 21;
    pub(crate) const RESHAPE: i32 = 22;
    pub(crate) const SOFTMAX: i32 = 25;
    pub(crate) const CUSTOM: i32 = 32;
    pub(crate) const PAD: i32 = 34;
    pub(crate) const MEAN: i32 = 40;
    pub(crate) const STRIDED_SLICE: i32 = 45;
    pub(crate) const SPLIT: i32 = 49;
    pub(crate) const SPLIT_V: i32 = 102;
    pub(crate) const QUANTIZE: i32 = 114;
    pub(crate) const CALL_ONCE: i32 = 129;
    pub(crate) const VAR_HANDLE: i32 = 142;
    pub(crate) const READ_VARIABLE: i32 = 143;
    pub(crate) const ASSIGN_VARIABLE: i32 = 144;
}

/// Codes of the element types that are read.
pub(super) mod element {
    pub(crate) const INT32: i8 = 2;
    pub(crate) const UINT8: i8 = 3;
    pub(crate) const INT8: i8 = 9;
    pub(crate) const INT4: i8 = 17;
}

/// Codes in the union of operator options.
pub(super) mod options {
    pub(crate) const CONV_2D: u8 = 1;
    pub(crate) const DEPTHWISE_CONV_2D: u8 = 2;
    pub(crate) const POOL_2D: u8 = 5;
    pub(crate) const FULLY_CONNECTED: u8 = 8;
    pub(crate) const SOFTMAX: u8 = 9;
    pub(crate) const CONCATENATION: u8 = 10;
    pub(crate) const ADD: u8 = 11;
    pub(crate) const MUL: u8 = 21;
    pub(crate) const STRIDED_SLICE: u8 = 32;
    pub(crate) const CALL_ONCE: u8 = 103;
    pub(crate) const VAR_HANDLE: u8 = 111;
}

/// Names of the fused activations at the positions that their codes name.
pub(super) static ACTIVATIONS: [&str; 6] = ["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"];

/// The name of a built-in operator; its number where the schema has none.
pub(super) fn operator_name(code: i32) -> String {
    name(&OPERATORS, code)
}

/// The name of an element type; its number where the schema has none.
pub(super) fn type_name(code: i8) -> String {
    name(&TYPES, code.into())
}

fn name(names: &[&str], code: i32) -> String {
    let known = usize::try_from(code).ok().and_then(|code| names.get(code));
    known.map_or_else(|| format!("number {code}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_codes() {
        for (code, name) in [
            (operator::ADD, "ADD"),
            (operator::AVERAGE_POOL_2D, "AVERAGE_POOL_2D"),
            (operator::CONCATENATION, "CONCATENATION"),
            (operator::CONV_2D, "CONV_2D"),
            (operator::DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D"),
            (operator::FULLY_CONNECTED, "FULLY_CONNECTED"),
            (operator::LOGISTIC, "LOGISTIC"),
            (operator::MAX_POOL_2D, "MAX_POOL_2D"),
            (operator::MUL, "MUL"),
            (operator::SOFTMAX, "SOFTMAX"),
            (operator::PAD, "PAD"),
            (operator::MEAN, "MEAN"),
            (operator::STRIDED_SLICE, "STRIDED_SLICE"),
            (operator::SPLIT, "SPLIT"),
            (operator::SPLIT_V, "SPLIT_V"),
            (operator::CALL_ONCE, "CALL_ONCE"),
            (operator::VAR_HANDLE, "VAR_HANDLE"),
            (operator::READ_VARIABLE, "READ_VARIABLE"),
            (operator::ASSIGN_VARIABLE, "ASSIGN_VARIABLE"),
            (operator::RELU, "RELU"),
            (operator::RELU_N1_TO_1, "RELU_N1_TO_1"),
            (operator::RELU6, "RELU6"),
            (operator::RESHAPE, "RESHAPE"),
            (operator::CUSTOM, "CUSTOM"),
            (operator::QUANTIZE, "QUANTIZE"),
            (-1, "number -1"),
            (5000, "number 5000"),
        ] {
            assert_eq!(operator_name(code), name);
        }
        assert_eq!(type_name(element::INT8), "INT8");
        assert_eq!(type_name(element::INT4), "INT4");
        assert_eq!(type_name(element::UINT8), "UINT8");
        assert_eq!(type_name(element::INT32), "INT32");
    }
}
