// DP16KD: a block RAM with two ports of 9 or 18 bits, 2048 or 1024 words deep.
//
// Either port reads or writes, with WRITEMODE "NORMAL": a port that writes keeps what it read before. An output register is there only with REGMODE = "OUTREG". A read in the cycle of a write
// to the same word through the other port gives the old word.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter INIT_DATA = "STATIC",
    parameter GSR = "ENABLED"
) (
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA0, CSA1, CSA2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
  generate
    if (DATA_WIDTH_A != DATA_WIDTH_B || (DATA_WIDTH_A != 9 && DATA_WIDTH_A != 18)
        || (REGMODE_A != "NOREG" && REGMODE_A != "OUTREG") || (REGMODE_B != "NOREG" && REGMODE_B != "OUTREG")
        || RESETMODE != "SYNC" || WRITEMODE_A != "NORMAL" || WRITEMODE_B != "NORMAL" || CSDECODE_A != "0b000"
        || CSDECODE_B != "0b000") begin : refused
      parameters_without_a_model refused ();
    end
  endgenerate
  // Bytes of nine bits: a word of 18 bits is two of them.
  reg [8:0] bytes [0:2047];
  reg [17:0] fetched_a = 0, registered_a = 0, fetched_b = 0, registered_b = 0;
  wire [17:0] written_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
      DIA1, DIA0};
  wire [17:0] written_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
      DIB1, DIB0};
  wire [10:0] address_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3};
  wire [10:0] address_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3};
  wire wide = DATA_WIDTH_A == 18;
  wire active_a = CEA & ~CSA0 & ~CSA1 & ~CSA2;
  wire active_b = CEB & ~CSB0 & ~CSB1 & ~CSB2;
  always @(posedge CLKA) begin
    if (active_a & WEA) begin
      if (wide) begin
        if (ADA0) bytes[{address_a[10:1], 1'b0}] <= written_a[8:0];
        if (ADA1) bytes[{address_a[10:1], 1'b1}] <= written_a[17:9];
      end else begin
        bytes[address_a] <= written_a[8:0];
      end
    end
    if (RSTA) begin
      registered_a <= 0;
    end else begin
      if (active_a & ~WEA) begin
        fetched_a <= wide ? {bytes[{address_a[10:1], 1'b1}], bytes[{address_a[10:1], 1'b0}]} : {9'd0, bytes[address_a]};
      end
      if (OCEA) registered_a <= fetched_a;
    end
  end
  always @(posedge CLKB) begin
    if (active_b & WEB) begin
      if (wide) begin
        if (ADB0) bytes[{address_b[10:1], 1'b0}] <= written_b[8:0];
        if (ADB1) bytes[{address_b[10:1], 1'b1}] <= written_b[17:9];
      end else begin
        bytes[address_b] <= written_b[8:0];
      end
    end
    if (RSTB) begin
      registered_b <= 0;
    end else begin
      if (active_b & ~WEB) begin
        fetched_b <= wide ? {bytes[{address_b[10:1], 1'b1}], bytes[{address_b[10:1], 1'b0}]} : {9'd0, bytes[address_b]};
      end
      if (OCEB) registered_b <= fetched_b;
    end
  end
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
    REGMODE_A == "OUTREG" ? registered_a : fetched_a;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
    REGMODE_B == "OUTREG" ? registered_b : fetched_b;
endmodule
