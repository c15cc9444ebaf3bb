// TRELLIS_DPR16X4: sixteen words of four bits in the look-up tables; written on the rising edge, read in the same cycle.
module TRELLIS_DPR16X4 #(
    parameter WCKMUX = "WCK",
    parameter WREMUX = "WRE",
    parameter [63:0] INITVAL = 64'h0
) (
    input [3:0] DI, WAD, RAD,
    input WRE, WCK,
    output [3:0] DO
);
  generate
    if (WCKMUX != "WCK" || WREMUX != "WRE") begin : refused
      parameters_without_a_model refused ();
    end
  endgenerate
  reg [63:0] words = INITVAL;
  always @(posedge WCK) if (WRE) words[{WAD, 2'b00} +: 4] <= DI;
  assign DO = words[{RAD, 2'b00} +: 4];
endmodule
