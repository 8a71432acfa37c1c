//go:build !noasm && !purego

#include "textflag.h"

// Registers: A to D are the states of sixteen lanes, Z4 to Z7 what they were before the block, Z8 is scratch, Z9 the lanes' offsets, Z16 to
// Z31 the sixteen words of the block of each lane.
#define A Z0
#define B Z1
#define C Z2
#define D Z3
#define T Z8

// STEP is one of the 64 operations of RFC 1321: a = b + ((a + f(b, c, d) + word + constant i) <<< s). The table of f, by the bits of b, c
// and d, is what tells the four rounds apart.
#define STEP(f, a, b, c, d, word, s, i) \
	VMOVDQA32 b, T \
	VPTERNLOGD $f, d, c, T \
	VPADDD word, a, a \
	VPADDD.BCST (4*i)(DX), a, a \
	VPADDD T, a, a \
	VPROLD $s, a, a \
	VPADDD b, a, a

// LOAD gathers a word of every lane.
#define LOAD(i, word) \
	KXNORW K1, K1, K1 \
	VPGATHERDD (4*i)(SI)(Z9*1), K1, word

// func blocks16(state *[4][16]uint32, base unsafe.Pointer, offsets *[16]uint32, n int, constants *[64]uint32)
TEXT ·blocks16(SB), NOSPLIT, $0-40
	MOVQ state+0(FP), DI
	MOVQ base+8(FP), SI
	MOVQ offsets+16(FP), AX
	MOVQ n+24(FP), CX
	MOVQ constants+32(FP), DX
	VMOVDQU32 0(DI), A
	VMOVDQU32 64(DI), B
	VMOVDQU32 128(DI), C
	VMOVDQU32 192(DI), D
	VMOVDQU32 0(AX), Z9

block:
	VMOVDQA32 A, Z4
	VMOVDQA32 B, Z5
	VMOVDQA32 C, Z6
	VMOVDQA32 D, Z7
	LOAD(0, Z16)
	LOAD(1, Z17)
	LOAD(2, Z18)
	LOAD(3, Z19)
	LOAD(4, Z20)
	LOAD(5, Z21)
	LOAD(6, Z22)
	LOAD(7, Z23)
	LOAD(8, Z24)
	LOAD(9, Z25)
	LOAD(10, Z26)
	LOAD(11, Z27)
	LOAD(12, Z28)
	LOAD(13, Z29)
	LOAD(14, Z30)
	LOAD(15, Z31)

	STEP(0xCA, A, B, C, D, Z16, 7, 0)
	STEP(0xCA, D, A, B, C, Z17, 12, 1)
	STEP(0xCA, C, D, A, B, Z18, 17, 2)
	STEP(0xCA, B, C, D, A, Z19, 22, 3)
	STEP(0xCA, A, B, C, D, Z20, 7, 4)
	STEP(0xCA, D, A, B, C, Z21, 12, 5)
	STEP(0xCA, C, D, A, B, Z22, 17, 6)
	STEP(0xCA, B, C, D, A, Z23, 22, 7)
	STEP(0xCA, A, B, C, D, Z24, 7, 8)
	STEP(0xCA, D, A, B, C, Z25, 12, 9)
	STEP(0xCA, C, D, A, B, Z26, 17, 10)
	STEP(0xCA, B, C, D, A, Z27, 22, 11)
	STEP(0xCA, A, B, C, D, Z28, 7, 12)
	STEP(0xCA, D, A, B, C, Z29, 12, 13)
	STEP(0xCA, C, D, A, B, Z30, 17, 14)
	STEP(0xCA, B, C, D, A, Z31, 22, 15)

	STEP(0xE4, A, B, C, D, Z17, 5, 16)
	STEP(0xE4, D, A, B, C, Z22, 9, 17)
	STEP(0xE4, C, D, A, B, Z27, 14, 18)
	STEP(0xE4, B, C, D, A, Z16, 20, 19)
	STEP(0xE4, A, B, C, D, Z21, 5, 20)
	STEP(0xE4, D, A, B, C, Z26, 9, 21)
	STEP(0xE4, C, D, A, B, Z31, 14, 22)
	STEP(0xE4, B, C, D, A, Z20, 20, 23)
	STEP(0xE4, A, B, C, D, Z25, 5, 24)
	STEP(0xE4, D, A, B, C, Z30, 9, 25)
	STEP(0xE4, C, D, A, B, Z19, 14, 26)
	STEP(0xE4, B, C, D, A, Z24, 20, 27)
	STEP(0xE4, A, B, C, D, Z29, 5, 28)
	STEP(0xE4, D, A, B, C, Z18, 9, 29)
	STEP(0xE4, C, D, A, B, Z23, 14, 30)
	STEP(0xE4, B, C, D, A, Z28, 20, 31)

	STEP(0x96, A, B, C, D, Z21, 4, 32)
	STEP(0x96, D, A, B, C, Z24, 11, 33)
	STEP(0x96, C, D, A, B, Z27, 16, 34)
	STEP(0x96, B, C, D, A, Z30, 23, 35)
	STEP(0x96, A, B, C, D, Z17, 4, 36)
	STEP(0x96, D, A, B, C, Z20, 11, 37)
	STEP(0x96, C, D, A, B, Z23, 16, 38)
	STEP(0x96, B, C, D, A, Z26, 23, 39)
	STEP(0x96, A, B, C, D, Z29, 4, 40)
	STEP(0x96, D, A, B, C, Z16, 11, 41)
	STEP(0x96, C, D, A, B, Z19, 16, 42)
	STEP(0x96, B, C, D, A, Z22, 23, 43)
	STEP(0x96, A, B, C, D, Z25, 4, 44)
	STEP(0x96, D, A, B, C, Z28, 11, 45)
	STEP(0x96, C, D, A, B, Z31, 16, 46)
	STEP(0x96, B, C, D, A, Z18, 23, 47)

	STEP(0x39, A, B, C, D, Z16, 6, 48)
	STEP(0x39, D, A, B, C, Z23, 10, 49)
	STEP(0x39, C, D, A, B, Z30, 15, 50)
	STEP(0x39, B, C, D, A, Z21, 21, 51)
	STEP(0x39, A, B, C, D, Z28, 6, 52)
	STEP(0x39, D, A, B, C, Z19, 10, 53)
	STEP(0x39, C, D, A, B, Z26, 15, 54)
	STEP(0x39, B, C, D, A, Z17, 21, 55)
	STEP(0x39, A, B, C, D, Z24, 6, 56)
	STEP(0x39, D, A, B, C, Z31, 10, 57)
	STEP(0x39, C, D, A, B, Z22, 15, 58)
	STEP(0x39, B, C, D, A, Z29, 21, 59)
	STEP(0x39, A, B, C, D, Z20, 6, 60)
	STEP(0x39, D, A, B, C, Z27, 10, 61)
	STEP(0x39, C, D, A, B, Z18, 15, 62)
	STEP(0x39, B, C, D, A, Z25, 21, 63)

	VPADDD Z4, A, A
	VPADDD Z5, B, B
	VPADDD Z6, C, C
	VPADDD Z7, D, D
	ADDQ $64, SI
	DECQ CX
	JNZ  block

	VMOVDQU32 A, 0(DI)
	VMOVDQU32 B, 64(DI)
	VMOVDQU32 C, 128(DI)
	VMOVDQU32 D, 192(DI)
	VZEROUPPER
	RET
