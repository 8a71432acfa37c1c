//go:build !noasm && !purego

#include "textflag.h"

// func predictAVX2(tokens, here, above, second unsafe.Pointer, pixel, n int, k *[4]uint32, edge bool) int
//
// Sixteen samples at a time. Samples are made signed by flipping their top bit; k holds the weights of the pairs
// (left, second left), (above, above left), (above right, second above), and the constant that makes up for the flips.
TEXT ·predictAVX2(SB), NOSPLIT, $40-72
	MOVQ tokens+0(FP), DI
	MOVQ here+8(FP), SI
	MOVQ above+16(FP), DX
	MOVQ second+24(FP), CX
	MOVQ pixel+32(FP), R11
	MOVQ n+40(FP), R8
	MOVQ k+48(FP), R9
	MOVQ SI, R12 // the pixel to the left
	SUBQ R11, R12
	MOVQ R12, R13 // the second one
	SUBQ R11, R13
	MOVQ DX, BX // the one above left
	SUBQ R11, BX
	LEAQ (DX)(R11*1), R15 // the one above right
	VPBROADCASTD 0(R9), Y8
	VPBROADCASTD 4(R9), Y9
	VPBROADCASTD 8(R9), Y10
	VPBROADCASTD 12(R9), Y11
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $16, Y15, Y14
	VPSLLW $15, Y15, Y15
	MOVL $191, AX
	VMOVD AX, X13
	VPBROADCASTW X13, Y13
	XORQ R10, R10
	SUBQ $16, R8
	JLT predictDone
	MOVBLZX edge+56(FP), AX
	TESTL AX, AX
	JZ predictLoop
	MOVL -4(DX), AX // the first sixteen and two before them, as they are at an edge
	MOVL AX, (SP)
	VMOVDQU (SI), Y2
	VMOVDQU Y2, 4(SP)
	MOVQ SP, R13
	LEAQ 2(SP), R12

predictLoop:
	CMPQ R10, R8
	JGT predictDone
	VPXOR (R13), Y15, Y0
	VPXOR (R12), Y15, Y1
	VMOVDQU (SI), Y2
	VPXOR (BX), Y15, Y3
	VPXOR (DX), Y15, Y4
	VPXOR (R15), Y15, Y5
	VPXOR (CX), Y15, Y6
	VPUNPCKLWD Y0, Y1, Y7
	VPMADDWD Y7, Y8, Y7
	VPUNPCKHWD Y0, Y1, Y0
	VPMADDWD Y0, Y8, Y0
	VPUNPCKLWD Y3, Y4, Y1
	VPMADDWD Y1, Y9, Y1
	VPUNPCKHWD Y3, Y4, Y3
	VPMADDWD Y3, Y9, Y3
	VPADDD Y1, Y7, Y7
	VPADDD Y3, Y0, Y0
	VPUNPCKLWD Y6, Y5, Y1
	VPMADDWD Y1, Y10, Y1
	VPUNPCKHWD Y6, Y5, Y5
	VPMADDWD Y5, Y10, Y5
	VPADDD Y1, Y7, Y7
	VPADDD Y5, Y0, Y0
	VPADDD Y11, Y7, Y7
	VPADDD Y11, Y0, Y0
	VPSRLD $12, Y7, Y7
	VPSRLD $12, Y0, Y0
	VPAND Y14, Y7, Y7
	VPAND Y14, Y0, Y0
	VPACKUSDW Y0, Y7, Y7 // the predictions
	VPSUBW Y7, Y2, Y2
	VPADDW Y2, Y2, Y0
	VPSRAW $15, Y2, Y2
	VPXOR Y2, Y0, Y0 // zig-zagged
	VPSUBUSW Y13, Y0, Y1
	VPTEST Y1, Y1
	JNZ predictDone // one of them needs extra bytes
	VPACKUSWB Y0, Y0, Y0
	VPERMQ $0x08, Y0, Y0
	VMOVDQU X0, (DI)
	ADDQ $32, SI
	MOVQ SI, R12
	SUBQ R11, R12
	MOVQ R12, R13
	SUBQ R11, R13
	ADDQ $32, DX
	ADDQ $32, BX
	ADDQ $32, R15
	ADDQ $32, CX
	ADDQ $16, DI
	ADDQ $16, R10
	JMP predictLoop

predictDone:
	VZEROUPPER
	MOVQ R10, ret+64(FP)
	RET

// func expandAVX2(here, tokens unsafe.Pointer, n int) int
TEXT ·expandAVX2(SB), NOSPLIT, $0-32
	MOVQ here+0(FP), DI
	MOVQ tokens+8(FP), SI
	MOVQ n+16(FP), R8
	MOVL $191, AX
	VMOVD AX, X13
	VPBROADCASTW X13, Y13
	VPCMPEQD Y15, Y15, Y15
	VPSRLW $15, Y15, Y14
	VPXOR Y12, Y12, Y12
	XORQ R10, R10
	SUBQ $16, R8

expandLoop:
	CMPQ R10, R8
	JGT expandDone
	VPMOVZXBW (SI)(R10*1), Y0
	VPSUBUSW Y13, Y0, Y1
	VPTEST Y1, Y1
	JNZ expandDone // one of them has extra bytes
	VPSRLW $1, Y0, Y1
	VPAND Y14, Y0, Y0
	VPSUBW Y0, Y12, Y0
	VPXOR Y1, Y0, Y0
	VMOVDQU Y0, (DI)(R10*2)
	ADDQ $16, R10
	JMP expandLoop

expandDone:
	VZEROUPPER
	MOVQ R10, ret+24(FP)
	RET

// LANES loads what SUMS needs from k.
#define LANES(k) \
	VPBROADCASTD 0(k), Y8 \
	VPBROADCASTD 4(k), Y9 \
	VPBROADCASTD 8(k), Y10 \
	VPCMPEQD Y15, Y15, Y15 \
	VPSLLW $15, Y15, Y15 \
	VPXOR Y12, Y12, Y12

// SUMS leaves in Y2 and Y5 what is known of sixteen samples without those to their left, in order. e is where their residuals are, nw, n and
// ne the neighbours in the row above, nn the one above that. Y8 and Y9 are the weights of the pairs (n, nw) and (ne, nn), Y10 the constant, which
// has 16 fractional bits.
#define SUMS(e, nw, n, ne, nn) \
	VPXOR nw, Y15, Y3 \
	VPXOR n, Y15, Y4 \
	VPXOR ne, Y15, Y5 \
	VPXOR nn, Y15, Y6 \
	VMOVDQU e, Y0 \
	VPUNPCKLWD Y3, Y4, Y1 \
	VPMADDWD Y1, Y8, Y1 \
	VPUNPCKHWD Y3, Y4, Y3 \
	VPMADDWD Y3, Y8, Y3 \
	VPUNPCKLWD Y6, Y5, Y2 \
	VPMADDWD Y2, Y9, Y2 \
	VPUNPCKHWD Y6, Y5, Y5 \
	VPMADDWD Y5, Y9, Y5 \
	VPADDD Y1, Y2, Y1 \
	VPADDD Y3, Y5, Y3 \
	VPSLLD $4, Y1, Y1 \
	VPSLLD $4, Y3, Y3 \
	VPUNPCKLWD Y0, Y12, Y2 \
	VPUNPCKHWD Y0, Y12, Y5 \
	VPADDD Y10, Y2, Y2 \
	VPADDD Y10, Y5, Y5 \
	VPADDD Y2, Y1, Y1 \
	VPADDD Y5, Y3, Y3 \
	VPERM2I128 $0x20, Y3, Y1, Y2 \
	VPERM2I128 $0x31, Y3, Y1, Y5

// func sumAVX2(sums, here unsafe.Pointer, above, pixel, n int, k *[5]uint32)
TEXT ·sumAVX2(SB), NOSPLIT, $0-48
	MOVQ sums+0(FP), DI
	MOVQ here+8(FP), SI
	MOVQ above+16(FP), R11
	MOVQ pixel+24(FP), R12
	MOVQ n+32(FP), R8
	MOVQ k+40(FP), R9
	LANES(R9)
	MOVQ SI, DX // the pixel to the left
	SUBQ R12, DX
	ADDQ SI, R12 // and to the right

sumLoop:
	SUMS((SI), (DX)(R11*1), (SI)(R11*1), (R12)(R11*1), (SI)(R11*2))
	VMOVDQU Y2, (DI)
	VMOVDQU Y5, 32(DI)
	ADDQ $64, DI
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, R12
	SUBQ $16, R8
	JNZ sumLoop
	VZEROUPPER
	RET

// ROW leaves the sums of sixteen samples at p at at(SP). R11 is the distance to the row above.
#define ROW(p, at) \
	SUMS((p), -2(p)(R11*1), (p)(R11*1), 2(p)(R11*1), (p)(R11*2)) \
	VMOVDQU Y2, at(SP) \
	VMOVDQU Y5, (at+32)(SP)

// SAMPLE makes a, the second sample to the left, the next sample, whose sum is at sum(SP), and writes it at p: b is the one to the left, R9 and
// R13 are their weights.
#define SAMPLE(sum, i, p, a, b) \
	IMULL R13, a \
	ADDL (sum+4*i)(SP), a \
	MOVL b, AX \
	IMULL R9, AX \
	ADDL AX, a \
	SHRL $16, a \
	MOVW a, (2*i)(p)

#define FOUR(i) \
	SAMPLE(0, i, DI, BX, R10) \
	SAMPLE(0, (i+1), DI, R10, BX) \
	SAMPLE(0, (i+2), DI, BX, R10) \
	SAMPLE(0, (i+3), DI, R10, BX)

// func restoreAVX2(here unsafe.Pointer, above, n int, k *[5]uint32, left *[2]uint32)
//
// Each sample waits for the one before, so that the core has time for the sums of the next sixteen meanwhile.
TEXT ·restoreAVX2(SB), NOSPLIT, $64-40
	MOVQ here+0(FP), DI
	MOVQ above+8(FP), R11
	MOVQ n+16(FP), R8
	MOVQ k+24(FP), R9
	MOVQ left+32(FP), AX
	LANES(R9)
	MOVL 16(R9), R13
	MOVL 12(R9), R9
	MOVL 0(AX), BX
	MOVL 4(AX), R10

restoreLoop:
	ROW(DI, 0)
	FOUR(0)
	FOUR(4)
	FOUR(8)
	FOUR(12)
	ADDQ $32, DI
	SUBQ $16, R8
	JNZ restoreLoop
	VZEROUPPER
	RET

#define PAIR(i) \
	SAMPLE(0, i, DI, BX, R10) \
	SAMPLE(64, i, SI, CX, DX) \
	SAMPLE(0, (i+1), DI, R10, BX) \
	SAMPLE(64, (i+1), SI, DX, CX)

// func restoreBothAVX2(upper, lower unsafe.Pointer, above, n int, k *[5]uint32, left *[4]uint32)
//
// Two chains that do not wait for each other.
TEXT ·restoreBothAVX2(SB), NOSPLIT, $128-48
	MOVQ upper+0(FP), DI
	MOVQ lower+8(FP), SI
	MOVQ above+16(FP), R11
	MOVQ n+24(FP), R8
	MOVQ k+32(FP), R9
	MOVQ left+40(FP), AX
	LANES(R9)
	MOVL 16(R9), R13
	MOVL 12(R9), R9
	MOVL 0(AX), BX
	MOVL 4(AX), R10
	MOVL 8(AX), CX
	MOVL 12(AX), DX

bothLoop:
	ROW(DI, 0)
	ROW(SI, 64)
	PAIR(0)
	PAIR(2)
	PAIR(4)
	PAIR(6)
	PAIR(8)
	PAIR(10)
	PAIR(12)
	PAIR(14)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $16, R8
	JNZ bothLoop
	VZEROUPPER
	RET
