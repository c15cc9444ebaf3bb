//! Simulation models of the ECP5 cells the primitives instantiate, as far as the primitives use them.

/// `input A0, input A1, …`
fn numbered(direction: &str, pin: &str, count: usize) -> String {
    let pins: Vec<String> = (0..count).map(|index| format!("{direction} {pin}{index}")).collect();
    pins.join(", ")
}

/// `{A17, A16, …, A0}`
fn joined(pin: &str, count: usize) -> String {
    let pins: Vec<String> = (0..count).rev().map(|index| format!("{pin}{index}")).collect();
    format!("{{{}}}", pins.join(", "))
}

/// Verilog of MULT18X18D and PDPW16KD. Each register is there only if the parameters ask for it, so a text that forgets
/// one shows a shorter latency.
pub fn models() -> String {
    let multiplier_ports = [
        numbered("input", "A", 18),
        numbered("input", "B", 18),
        numbered("input", "C", 18),
        "input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0".into(),
        numbered("output", "P", 36),
    ]
    .join(", ");
    let memory_ports = [
        numbered("input", "DI", 36),
        numbered("input", "ADW", 9),
        numbered("input", "ADR", 14),
        "input BE0, BE1, BE2, BE3, CEW, CLKW, CSW0, CSW1, CSW2".into(),
        "input CER, OCER, CLKR, CSR0, CSR1, CSR2, RST".into(),
        numbered("output", "DO", 36),
    ]
    .join(", ");
    format!(
        "
module MULT18X18D #(parameter REG_INPUTA_CLK = \"NONE\", REG_INPUTB_CLK = \"NONE\", REG_PIPELINE_CLK = \"NONE\",
                    REG_OUTPUT_CLK = \"NONE\", GSR = \"ENABLED\") ({multiplier_ports});
  reg [17:0] a_q, b_q;
  reg [35:0] pipeline_q, output_q;
  wire [17:0] a = REG_INPUTA_CLK == \"CLK0\" ? a_q : {a};
  wire [17:0] b = REG_INPUTB_CLK == \"CLK0\" ? b_q : {b};
  wire signed [35:0] a_wide = {{{{18{{SIGNEDA & a[17]}}}}, a}};
  wire signed [35:0] b_wide = {{{{18{{SIGNEDB & b[17]}}}}, b}};
  wire [35:0] product = a_wide * b_wide;
  wire [35:0] pipeline = REG_PIPELINE_CLK == \"CLK0\" ? pipeline_q : product;
  always @(posedge CLK0) if (CE0 & ~RST0) begin
    a_q <= {a};
    b_q <= {b};
    pipeline_q <= product;
    output_q <= pipeline;
  end
  assign {p} = REG_OUTPUT_CLK == \"CLK0\" ? output_q : pipeline;
endmodule

module CCU2C #(parameter INIT0 = 16'h0000, INIT1 = 16'h0000, INJECT1_0 = \"YES\", INJECT1_1 = \"YES\") (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  // Sum bit: table exclusive-or carry. Carry: kept where the table is 1, else the table of A and B alone.
  wire propagate_0 = INIT0[{{D0, C0, B0, A0}}], propagate_1 = INIT1[{{D1, C1, B1, A1}}];
  wire generate_0 = INIT0[{{2'b00, B0, A0}}] & (INJECT1_0 != \"YES\"), generate_1 = INIT1[{{2'b00, B1, A1}}] & (INJECT1_1 != \"YES\");
  wire middle = propagate_0 ? CIN : generate_0;
  assign S0 = propagate_0 ^ (CIN & (INJECT1_0 != \"YES\"));
  assign S1 = propagate_1 ^ (middle & (INJECT1_1 != \"YES\"));
  assign COUT = propagate_1 ? middle : generate_1;
endmodule

module PDPW16KD #(parameter DATA_WIDTH_W = 18, DATA_WIDTH_R = 18, REGMODE = \"NOREG\", GSR = \"ENABLED\") ({memory_ports});
  reg [35:0] memory [0:511];
  reg [35:0] fetched, output_q;
  wire [8:0] write_address = {adw};
  wire [13:0] read_address = {adr};
  wire [3:0] lanes = {{BE3, BE2, BE1, BE0}};
  wire write = CEW & ~CSW0 & ~CSW1 & ~CSW2 & DATA_WIDTH_W == 36 & &lanes;
  always @(posedge CLKW) if (write) memory[write_address] <= {di};
  always @(posedge CLKR) begin
    if (CER & ~CSR0 & ~CSR1 & ~CSR2 & DATA_WIDTH_R == 36) fetched <= memory[read_address[13:5]];
    if (OCER & ~RST) output_q <= fetched;
  end
  assign {do_} = REGMODE == \"OUTREG\" ? output_q : fetched;
endmodule
",
        a = joined("A", 18),
        b = joined("B", 18),
        p = joined("P", 36),
        adw = joined("ADW", 9),
        adr = joined("ADR", 14),
        di = joined("DI", 36),
        do_ = joined("DO", 36),
    )
}
