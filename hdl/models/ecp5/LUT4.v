// LUT4: any function of four bits. Bit {D, C, B, A} of INIT is the output.
module LUT4 #(parameter [15:0] INIT = 16'h0000) (input A, B, C, D, output Z);
  assign Z = INIT[{D, C, B, A}];
endmodule
