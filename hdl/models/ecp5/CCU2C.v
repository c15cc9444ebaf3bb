// CCU2C: two bits of a carry chain, each with a table of four inputs.
//
// A bit hands its carry on where its table says 1, and otherwise makes one by the part of the table that has C and D at 0. The sum
// is the table exclusive-or the carry that arrives. INJECT1 = "YES" cuts the bit off from the chain: it neither adds nor makes a
// carry.
module CCU2C #(
    parameter [15:0] INIT0 = 16'h0000,
    parameter [15:0] INIT1 = 16'h0000,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
  wire on_0 = INJECT1_0 != "YES";
  wire on_1 = INJECT1_1 != "YES";
  wire keeps_0 = INIT0[{D0, C0, B0, A0}];
  wire keeps_1 = INIT1[{D1, C1, B1, A1}];
  wire middle = keeps_0 ? CIN : on_0 & INIT0[{2'b00, B0, A0}];
  assign S0 = keeps_0 ^ (on_0 & CIN);
  assign S1 = keeps_1 ^ (on_1 & middle);
  assign COUT = keeps_1 ? middle : on_1 & INIT1[{2'b00, B1, A1}];
endmodule
