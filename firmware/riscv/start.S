# The first instructions: stack, variables, main.
    .section .text.start
    .globl start
start:
    la sp, stack_top
    # Variables with a value: from the flash into the RAM.
    la a0, data_in_flash
    la a1, data_start
    la a2, data_end
1:  bgeu a1, a2, 2f
    lw a3, 0(a0)
    sw a3, 0(a1)
    addi a0, a0, 4
    addi a1, a1, 4
    j 1b
    # Variables without: zero.
2:  la a1, bss_start
    la a2, bss_end
3:  bgeu a1, a2, 4f
    sw zero, 0(a1)
    addi a1, a1, 4
    j 3b
4:  call board_begin
    call main
5:  j 5b
