//go:build !noasm && !purego

#include "textflag.h"

// DIRECT sets all of Y13 to the largest token without extra bytes.
#define DIRECT \
	MOVL $191, AX \
	VMOVD AX, X13 \
	VPBROADCASTW X13, Y13

// func packAVX2(tokens, residuals unsafe.Pointer, n int) int
TEXT ·packAVX2(SB), NOSPLIT, $0-32
	MOVQ tokens+0(FP), DI
	MOVQ residuals+8(FP), SI
	MOVQ n+16(FP), R8
	DIRECT
	XORQ R10, R10
	SUBQ $16, R8

packLoop:
	CMPQ R10, R8
	JGT packDone
	VMOVDQU (SI)(R10*2), Y0
	VPSUBUSW Y13, Y0, Y1
	VPTEST Y1, Y1
	JNZ packDone // one of them has extra bytes
	VPACKUSWB Y0, Y0, Y0
	VPERMQ $0x08, Y0, Y0
	VMOVDQU X0, (DI)(R10*1)
	ADDQ $16, R10
	JMP packLoop

packDone:
	VZEROUPPER
	MOVQ R10, ret+24(FP)
	RET

// func classifyAVX2(classes, above unsafe.Pointer, n int, below *int16, bounds int)
TEXT ·classifyAVX2(SB), NOSPLIT, $0-40
	MOVQ classes+0(FP), DI
	MOVQ above+8(FP), SI
	MOVQ n+16(FP), R8
	MOVQ below+24(FP), R9
	MOVQ bounds+32(FP), R10
	VPXOR Y15, Y15, Y15

classifyLoop:
	VPSADBW (SI), Y15, Y0
	VPSADBW 32(SI), Y15, Y1
	VPSADBW 64(SI), Y15, Y2
	VPSADBW 96(SI), Y15, Y3
	VPACKUSDW Y1, Y0, Y0
	VPACKUSDW Y3, Y2, Y2
	VPACKUSDW Y2, Y0, Y0 // of each four groups two in the lower half, two in the upper one
	VPXOR Y1, Y1, Y1
	XORQ CX, CX

classifyBounds:
	VPBROADCASTW (R9)(CX*2), Y2
	VPCMPGTW Y2, Y0, Y2
	VPSUBW Y2, Y1, Y1
	INCQ CX
	CMPQ CX, R10
	JLT classifyBounds
	VPACKUSWB Y1, Y1, Y1
	VEXTRACTI128 $1, Y1, X2
	VPUNPCKLWD X2, X1, X1
	VMOVDQU X1, (DI)
	ADDQ $128, SI
	ADDQ $16, DI
	DECQ R8
	JNZ classifyLoop
	VZEROUPPER
	RET

// func expandAVX2(here, tokens unsafe.Pointer, n int) int
TEXT ·expandAVX2(SB), NOSPLIT, $0-32
	MOVQ here+0(FP), DI
	MOVQ tokens+8(FP), SI
	MOVQ n+16(FP), R8
	DIRECT
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
