// L6MUX21: joins two PFUMX to a function of six bits.
module L6MUX21 (input D0, D1, SD, output Z);
  assign Z = SD ? D1 : D0;
endmodule
