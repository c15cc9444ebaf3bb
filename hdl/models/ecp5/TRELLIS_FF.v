// TRELLIS_FF: a flip-flop with clock enable and local set or reset, synchronous, on the rising edge.
//
// Before its first reset it holds 0, as a register of the simulated text does, so that both set out alike. On the FPGA it is
// configured to its REGSET.
module TRELLIS_FF #(
    parameter GSR = "ENABLED",
    parameter CEMUX = "1",
    parameter CLKMUX = "CLK",
    parameter LSRMUX = "LSR",
    parameter SRMODE = "LSR_OVER_CE",
    parameter REGSET = "RESET",
    parameter LSRMODE = "LSR"
) (
    input CLK, LSR, CE, DI, M,
    output reg Q = 1'b0
);
  generate
    if ((CEMUX != "CE" && CEMUX != "INV" && CEMUX != "1") || CLKMUX != "CLK" || LSRMUX != "LSR" || LSRMODE != "LSR"
        || (SRMODE != "LSR_OVER_CE" && SRMODE != "CE_OVER_LSR")) begin : refused
      parameters_without_a_model refused ();
    end
  endgenerate
  wire value = REGSET == "SET";
  wire enable = CEMUX == "1" ? 1'b1 : CEMUX == "INV" ? ~CE : CE;
  always @(posedge CLK)
    if (LSR && (SRMODE == "LSR_OVER_CE" || enable)) Q <= value;
    else if (enable) Q <= DI;
endmodule
