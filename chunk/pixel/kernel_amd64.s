//go:build !noasm && !purego

#include "textflag.h"

// func predictAVX2(tokens, here, above, second unsafe.Pointer, pixel, n int, k *[4]uint32) int
//
// Sixteen samples at a time. Samples are made signed by flipping their top bit; k holds the weights of the pairs
// (left, second left), (above, above left), (above right, second above), and the constant that makes up for the flips.
TEXT ·predictAVX2(SB), NOSPLIT, $0-64
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
	ADDQ DX, R11 // the one above right
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

predictLoop:
	CMPQ R10, R8
	JGT predictDone
	VPXOR (R13), Y15, Y0
	VPXOR (R12), Y15, Y1
	VMOVDQU (SI), Y2
	VPXOR (BX), Y15, Y3
	VPXOR (DX), Y15, Y4
	VPXOR (R11), Y15, Y5
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
	ADDQ $32, R12
	ADDQ $32, R13
	ADDQ $32, DX
	ADDQ $32, BX
	ADDQ $32, R11
	ADDQ $32, CX
	ADDQ $16, DI
	ADDQ $16, R10
	JMP predictLoop

predictDone:
	VZEROUPPER
	MOVQ R10, ret+56(FP)
	RET

// ABOVE leaves in Y2 and Y5 what is known of sixteen samples without those to their left, in order, or goes to stop when one of their tokens
// has extra bytes. Tokens are at SI, the row above at DX, a pixel to the left of it at R12, R11 bytes to the right of it its other
// neighbour, and the second row above at CX. Y8 and Y9 are the weights of the pairs (above, above left) and (above right, second above),
// Y10 the constant, which has 16 fractional bits.
#define ABOVE(stop) \
	VPMOVZXBW (SI), Y0 \
	VPSUBUSW Y13, Y0, Y1 \
	VPTEST Y1, Y1 \
	JNZ stop \
	VPXOR (R12), Y15, Y3 \
	VPXOR (DX), Y15, Y4 \
	VPXOR (DX)(R11*1), Y15, Y5 \
	VPXOR (CX), Y15, Y6 \
	VPSRLW $1, Y0, Y1 \
	VPAND Y14, Y0, Y0 \
	VPSUBW Y0, Y12, Y0 \
	VPXOR Y1, Y0, Y0 \
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

// LANES loads what ABOVE needs beside the pointers, of which k is at R9 and R11 is set.
#define LANES \
	VPBROADCASTD 0(R9), Y8 \
	VPBROADCASTD 4(R9), Y9 \
	VPBROADCASTD 8(R9), Y10 \
	VPCMPEQD Y15, Y15, Y15 \
	VPSRLW $15, Y15, Y14 \
	VPSLLW $15, Y15, Y15 \
	VPXOR Y12, Y12, Y12 \
	MOVL $191, AX \
	VMOVD AX, X13 \
	VPBROADCASTW X13, Y13 \
	MOVQ DX, R12 \
	SUBQ R11, R12

// NEXT moves on by sixteen samples.
#define NEXT \
	ADDQ $16, SI \
	ADDQ $32, DX \
	ADDQ $32, R12 \
	ADDQ $32, CX

// func sumAVX2(sums, tokens, above, second unsafe.Pointer, pixel, n int, k *[5]uint32) int
TEXT ·sumAVX2(SB), NOSPLIT, $0-64
	MOVQ sums+0(FP), DI
	MOVQ tokens+8(FP), SI
	MOVQ above+16(FP), DX
	MOVQ second+24(FP), CX
	MOVQ pixel+32(FP), R11
	MOVQ n+40(FP), R8
	MOVQ k+48(FP), R9
	LANES
	SUBQ $16, R8

sumLoop:
	CMPQ R8, $0
	JLT sumDone
	ABOVE(sumDone)
	VMOVDQU Y2, (DI)
	VMOVDQU Y5, 32(DI)
	ADDQ $64, DI
	NEXT
	SUBQ $16, R8
	JMP sumLoop

sumDone:
	VZEROUPPER
	MOVQ n+40(FP), AX
	SUBQ $16, AX
	SUBQ R8, AX
	MOVQ AX, ret+56(FP)
	RET

// SAMPLE makes a, the second sample to the left, the next sample, whose sum is at SP: b is the one to the left, R9 and R13 are their weights.
#define SAMPLE(i, a, b) \
	IMULL R13, a \
	ADDL (4*i)(SP), a \
	MOVL b, AX \
	IMULL R9, AX \
	ADDL AX, a \
	SHRL $16, a \
	MOVW a, (2*i)(DI)

#define SAMPLES(i) \
	SAMPLE(i, BX, R10) \
	SAMPLE((i+1), R10, BX) \
	SAMPLE((i+2), BX, R10) \
	SAMPLE((i+3), R10, BX)

// func restoreAVX2(here, tokens, above, second unsafe.Pointer, n int, k *[5]uint32) int
//
// Each sample waits for the one before, so that the core has time for the sums of the next sixteen meanwhile.
TEXT ·restoreAVX2(SB), NOSPLIT, $64-56
	MOVQ here+0(FP), DI
	MOVQ tokens+8(FP), SI
	MOVQ above+16(FP), DX
	MOVQ second+24(FP), CX
	MOVQ n+32(FP), R8
	MOVQ k+40(FP), R9
	MOVQ $2, R11
	LANES
	MOVL 16(R9), R13
	MOVL 12(R9), R9
	MOVWLZX -4(DI), BX
	MOVWLZX -2(DI), R10
	SUBQ $16, R8

restoreLoop:
	CMPQ R8, $0
	JLT restoreDone
	ABOVE(restoreDone)
	VMOVDQU Y2, (SP)
	VMOVDQU Y5, 32(SP)
	SAMPLES(0)
	SAMPLES(4)
	SAMPLES(8)
	SAMPLES(12)
	ADDQ $32, DI
	NEXT
	SUBQ $16, R8
	JMP restoreLoop

restoreDone:
	VZEROUPPER
	MOVQ n+32(FP), AX
	SUBQ $16, AX
	SUBQ R8, AX
	MOVQ AX, ret+48(FP)
	RET
