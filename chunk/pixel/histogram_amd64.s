//go:build !noasm && !purego

#include "textflag.h"

// PAIR counts pair i at SI in a part of the numbers at DI.
#define PAIR(i, part) \
	MOVWLZX (2*i)(SI), AX \
	INCW (8192*part)(DI)(AX*2)

#define PAIRS(i) \
	PAIR(i, 0) \
	PAIR((i+1), 1) \
	PAIR((i+2), 2) \
	PAIR((i+3), 3)

// func countAVX512(p *pairCounts, others, data unsafe.Pointer, runs int) int
//
// The numbers of the pairs of four runs are written to memory first, and then taken from there.
TEXT ·countAVX512(SB), NOSPLIT, $320-40
	MOVQ p+0(FP), DI
	MOVQ others+8(FP), DX
	MOVQ data+16(FP), R9
	MOVQ runs+24(FP), CX
	LEAQ 63(SP), R8
	ANDQ $~63, R8
	MOVL $63, AX
	VPBROADCASTB AX, Z1
	MOVL $0x4001, AX // one, and the length of a row
	VPBROADCASTW AX, Z2

countRuns:
	MOVQ R8, R11
	MOVQ $4, R10
	CMPQ CX, R10
	CMOVQLT CX, R10
	SUBQ R10, CX

countRun:
	VMOVDQU64 (R9), Z0
	VPCMPUB $5, Z1, Z0, K1
	VPCOMPRESSB Z0, K1, Z3
	VMOVDQU64 Z3, (DX)
	KMOVQ K1, AX
	POPCNTQ AX, AX
	ADDQ AX, DX
	VPMINUB Z1, Z0, Z0
	VPMADDUBSW Z2, Z0, Z0
	VMOVDQA64 Z0, (R11)
	ADDQ $64, R9
	ADDQ $64, R11
	DECQ R10
	JNZ countRun
	MOVQ R8, SI

countPairs:
	PAIRS(0)
	PAIRS(4)
	PAIRS(8)
	PAIRS(12)
	PAIRS(16)
	PAIRS(20)
	PAIRS(24)
	PAIRS(28)
	ADDQ $64, SI
	CMPQ SI, R11
	JNE countPairs
	TESTQ CX, CX
	JNZ countRuns
	VZEROUPPER
	SUBQ others+8(FP), DX
	MOVQ DX, ret+32(FP)
	RET

// SUM leaves sixteen numbers of a row, i bytes from its start, in to, and adds them to sum.
#define SUM(i, to, sum) \
	VPMOVZXWD i(SI), to \
	VPMOVZXWD (8192+i)(SI), Z8 \
	VPMOVZXWD (16384+i)(SI), Z9 \
	VPMOVZXWD (24576+i)(SI), Z10 \
	VPADDD Z8, to, to \
	VPADDD Z9, Z10, Z9 \
	VPADDD Z9, to, to \
	VPADDD to, sum, sum

// func sumAVX512(count *[256]uint32, p *pairCounts)
//
// Z0-Z3 are the sums of the columns.
TEXT ·sumAVX512(SB), NOSPLIT, $0-16
	MOVQ count+0(FP), DI
	MOVQ p+8(FP), SI
	MOVL (4*63)(DI), R8 // which is right
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	XORQ CX, CX

sumRow:
	SUM(0, Z4, Z0)
	SUM(32, Z5, Z1)
	SUM(64, Z6, Z2)
	SUM(96, Z7, Z3)
	VPADDD Z4, Z5, Z4
	VPADDD Z6, Z7, Z6
	VPADDD Z4, Z6, Z4
	VEXTRACTI64X4 $1, Z4, Y5
	VPADDD Y4, Y5, Y4
	VEXTRACTI128 $1, Y4, X5
	VPADDD X4, X5, X4
	VPSHUFD $0x4e, X4, X5
	VPADDD X4, X5, X4
	VPSHUFD $0xb1, X4, X5
	VPADDD X4, X5, X4
	VMOVD X4, AX
	ADDL AX, (DI)(CX*4)
	ADDQ $128, SI
	INCQ CX
	CMPQ CX, $64
	JNE sumRow
	VPADDD (DI), Z0, Z0
	VPADDD 64(DI), Z1, Z1
	VPADDD 128(DI), Z2, Z2
	VPADDD 192(DI), Z3, Z3
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	MOVL R8, (4*63)(DI)
	VZEROUPPER
	RET
