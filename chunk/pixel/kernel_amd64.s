//go:build !noasm && !purego

#include "textflag.h"

// PAIRS adds to Y7 and Y0 the products of sixteen samples at a and at b with the weights in w.
#define PAIRS(a, b, w) \
	VPXOR b, Y15, Y3 \
	VPXOR a, Y15, Y4 \
	VPUNPCKLWD Y3, Y4, Y1 \
	VPMADDWD Y1, w, Y1 \
	VPUNPCKHWD Y3, Y4, Y3 \
	VPMADDWD Y3, w, Y3 \
	VPADDD Y1, Y7, Y7 \
	VPADDD Y3, Y0, Y0

// WEIGHTS loads the four pairs of the rows above and the constant from k, and what flips the top bits of sixteen samples.
#define WEIGHTS(k) \
	VPBROADCASTD 0(k), Y8 \
	VPBROADCASTD 4(k), Y9 \
	VPBROADCASTD 8(k), Y10 \
	VPBROADCASTD 12(k), Y11 \
	VPBROADCASTD 16(k), Y12 \
	VPCMPEQD Y15, Y15, Y15 \
	VPSLLW $15, Y15, Y15

// func predictAVX2(residuals, here, above, second unsafe.Pointer, pixel, n int, k *kernelWeights, edge bool)
//
// Sixteen samples at a time, made signed by flipping their top bit. R11 is the distance to the pixel to the right, R12 that to the left; BX is
// where left neighbours are counted from.
TEXT ·predictAVX2(SB), NOSPLIT, $48-57
	MOVQ residuals+0(FP), DI
	MOVQ here+8(FP), SI
	MOVQ above+16(FP), DX
	MOVQ second+24(FP), CX
	MOVQ pixel+32(FP), R11
	MOVQ n+40(FP), R8
	MOVQ k+48(FP), R9
	MOVQ R11, R12
	NEGQ R12
	MOVQ SI, BX
	WEIGHTS(R9)
	VPBROADCASTD 20(R9), Y14 // of the pair to the left
	VPXOR Y5, Y5, Y5
	MOVBLZX edge+56(FP), AX
	TESTL AX, AX
	JZ predictLoop
	MOVL -4(DX), AX // the first sixteen and two before them, as they are at an edge
	MOVL AX, (SP)
	VMOVDQU (SI), Y2
	VMOVDQU Y2, 4(SP)
	LEAQ 4(SP), BX

predictLoop:
	VMOVDQA Y12, Y7
	VMOVDQA Y12, Y0
	PAIRS((BX)(R12*1), (BX)(R12*2), Y14)
	PAIRS((DX), (DX)(R12*1), Y8)
	PAIRS((DX)(R11*1), (CX), Y9)
	PAIRS((CX)(R12*1), (CX)(R11*1), Y10)
	PAIRS((DX)(R11*2), (DX)(R12*2), Y11)
	VPSRLD $12, Y7, Y7
	VPSRLD $12, Y0, Y0
	VPBLENDW $0xaa, Y5, Y7, Y7
	VPBLENDW $0xaa, Y5, Y0, Y0
	VPACKUSDW Y0, Y7, Y7 // the predictions
	VMOVDQU (SI), Y2
	VPSUBW Y7, Y2, Y2
	VPADDW Y2, Y2, Y0
	VPSRAW $15, Y2, Y2
	VPXOR Y2, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	MOVQ SI, BX
	ADDQ $32, DX
	ADDQ $32, CX
	ADDQ $32, DI
	SUBQ $16, R8
	JNZ predictLoop
	VZEROUPPER
	RET

// SUMS leaves in Y2 and Y5 what is known of sixteen samples without those to their left, in order. e is where their residuals are, nww to nee
// the neighbours in the row above, nnw to nne those in the second one. The constant has 16 fractional bits.
#define SUMS(e, nww, nw, n, ne, nee, nnw, nn, nne) \
	VPXOR Y7, Y7, Y7 \
	VPXOR Y0, Y0, Y0 \
	PAIRS(n, nw, Y8) \
	PAIRS(ne, nn, Y9) \
	PAIRS(nnw, nne, Y10) \
	PAIRS(nee, nww, Y11) \
	VPXOR Y6, Y6, Y6 \
	VMOVDQU e, Y1 \
	VPUNPCKLWD Y1, Y6, Y2 \
	VPUNPCKHWD Y1, Y6, Y5 \
	VPSLLD $4, Y7, Y7 \
	VPSLLD $4, Y0, Y0 \
	VPADDD Y12, Y2, Y2 \
	VPADDD Y12, Y5, Y5 \
	VPADDD Y2, Y7, Y7 \
	VPADDD Y5, Y0, Y0 \
	VPERM2I128 $0x20, Y0, Y7, Y2 \
	VPERM2I128 $0x31, Y0, Y7, Y5

// func sumAVX2(sums, here unsafe.Pointer, above, pixel, n int, k *kernelWeights)
TEXT ·sumAVX2(SB), NOSPLIT, $0-48
	MOVQ sums+0(FP), DI
	MOVQ here+8(FP), SI
	MOVQ above+16(FP), DX
	MOVQ pixel+24(FP), R11
	MOVQ n+32(FP), R8
	MOVQ k+40(FP), R9
	WEIGHTS(R9)
	MOVQ R11, R12
	NEGQ R12
	LEAQ (SI)(DX*2), CX
	ADDQ SI, DX

sumLoop:
	SUMS((SI), (DX)(R12*2), (DX)(R12*1), (DX), (DX)(R11*1), (DX)(R11*2), (CX)(R12*1), (CX), (CX)(R11*1))
	VMOVDQU Y2, (DI)
	VMOVDQU Y5, 32(DI)
	ADDQ $64, DI
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, CX
	SUBQ $16, R8
	JNZ sumLoop
	VZEROUPPER
	RET

// ROW leaves the sums of sixteen samples at p at at(SP). R11 is the distance to the row above.
#define ROW(p, at) \
	SUMS((p), -4(p)(R11*1), -2(p)(R11*1), (p)(R11*1), 2(p)(R11*1), 4(p)(R11*1), -2(p)(R11*2), (p)(R11*2), 2(p)(R11*2)) \
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

// func restoreAVX2(here unsafe.Pointer, above, n int, k *kernelWeights, left *[2]uint32)
//
// Each sample waits for the one before, so that the core has time for the sums of the next sixteen meanwhile.
TEXT ·restoreAVX2(SB), NOSPLIT, $64-40
	MOVQ here+0(FP), DI
	MOVQ above+8(FP), R11
	MOVQ n+16(FP), R8
	MOVQ k+24(FP), R9
	MOVQ left+32(FP), AX
	WEIGHTS(R9)
	MOVL 24(R9), R13
	MOVL 20(R9), R9
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

// func restoreBothAVX2(upper, lower unsafe.Pointer, above, n int, k *kernelWeights, left *[4]uint32)
//
// Two chains that do not wait for each other.
TEXT ·restoreBothAVX2(SB), NOSPLIT, $128-48
	MOVQ upper+0(FP), DI
	MOVQ lower+8(FP), SI
	MOVQ above+16(FP), R11
	MOVQ n+24(FP), R8
	MOVQ k+32(FP), R9
	MOVQ left+40(FP), AX
	WEIGHTS(R9)
	MOVL 24(R9), R13
	MOVL 20(R9), R9
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
