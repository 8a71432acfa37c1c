//go:build !noasm && !purego

#include "textflag.h"

// BYTES takes one byte, shift bits from the lowest, of each of sixteen codes at R8, and puts them into the memory at R11.
#define BYTES(shift, sixteen, at) \
	VPSRLD $shift, (64*sixteen)(R8), Z0 \
	VPMOVDB Z0, (16*at)(R11)

#define QUARTER(shift, quarter, to) \
	BYTES(shift, (4*quarter), 0) \
	BYTES(shift, (4*quarter+1), 1) \
	BYTES(shift, (4*quarter+2), 2) \
	BYTES(shift, (4*quarter+3), 3) \
	VMOVDQU64 (R11), to

// TABLE loads that byte of all codes into four registers.
#define TABLE(shift, a, b, c, d) \
	QUARTER(shift, 0, a) \
	QUARTER(shift, 1, b) \
	QUARTER(shift, 2, c) \
	QUARTER(shift, 3, d)

// LOOKUP looks up the symbols Z0 in a table; K1 are those above 127.
#define LOOKUP(a, b, c, d, to) \
	VMOVDQA64 Z0, to \
	VPERMI2B b, a, to \
	VMOVDQA64 Z0, Z4 \
	VPERMI2B d, c, Z4 \
	VMOVDQU8 Z4, K1, to

// lengths is how far behind words their lengths are: there is room for those of four runs.
#define lengths 512

// WORD appends word i at R11, of 56 bits at most, to the BX bits in DX, and moves whole bytes of these to DI. Less than eight bits are left.
#define WORD(i) \
	MOVQ (8*i)(R11), R13 \
	MOVL (lengths+8*i)(R11), R12 \
	SHLXQ BX, R13, R13 \
	ORQ R13, DX \
	ADDL R12, BX \
	MOVQ DX, (DI) \
	MOVL BX, R12 \
	SHRL $3, R12 \
	ADDQ R12, DI \
	SHLL $3, R12 \
	SHRXQ R12, DX, DX \
	ANDL $7, BX

// func codeAVX512(out, data unsafe.Pointer, runs int, codes *[256]code, word uint64, n uint) (pos int, wordAfter uint64, nAfter uint)
//
// Four runs at a time are first made words of eight codes, or of four where eight are too long, and these then appended: each waits for the one
// before, and the core has time for the next runs meanwhile. Z16-Z19 are the lengths of the codes, Z20-Z23 their low and Z24-Z27 their high
// bytes. Codes that are later in the data are below earlier ones.
TEXT ·codeAVX512(SB), 0, $1088-72
	MOVQ out+0(FP), DI
	MOVQ data+8(FP), R9
	MOVQ runs+16(FP), CX
	MOVQ codes+24(FP), R8
	MOVQ word+32(FP), DX
	MOVQ n+40(FP), BX
	LEAQ 63(SP), R11
	ANDQ $~63, R11
	TABLE(16, Z16, Z17, Z18, Z19)
	TABLE(0, Z20, Z21, Z22, Z23)
	TABLE(8, Z24, Z25, Z26, Z27)
	VPTERNLOGD $0xff, Z0, Z0, Z0
	VPABSW Z0, Z28 // ones in lanes of 16 bits
	VPABSB Z0, Z29 // and of eight
	VPXORD Z30, Z30, Z30
	VPSRLQ $32, Z0, Z31 // the low halves of lanes of 64 bits
	MOVL $56, AX
	VPBROADCASTD AX, Z14
	MOVL $0xc0, AX
	VPBROADCASTB AX, Z15
	MOVQ CX, AX
	SHLQ $6, AX
	ADDQ AX, R9
	MOVQ R11, R8

codeRuns:
	MOVQ R8, SI
	MOVQ $4, R10
	CMPQ CX, R10
	CMOVQLT CX, R10
	SUBQ R10, CX

codeRun:
	SUBQ $64, R9
	VMOVDQU64 (R9), Z0
	VPTESTMB Z15, Z0, K2
	KORTESTQ K2, K2
	JNE codeWide
	VPERMB Z16, Z0, Z1
	VPERMB Z20, Z0, Z2
	VPERMB Z24, Z0, Z3

codeTogether:
	VPUNPCKLBW Z3, Z2, Z5
	VPUNPCKHBW Z3, Z2, Z6
	VPSRLW $8, Z1, Z7
	VPUNPCKLWD Z30, Z7, Z8
	VPUNPCKHWD Z30, Z7, Z9
	VPSLLVW Z8, Z28, Z8
	VPSLLVW Z9, Z28, Z9
	VPMADDWD Z5, Z8, Z5 // two codes: the earlier one, times two to the length of the later one, and that
	VPMADDWD Z6, Z9, Z6
	VPMADDUBSW Z29, Z1, Z1 // lengths of two
	VPSRLD $16, Z1, Z7
	VPUNPCKLDQ Z30, Z7, Z8
	VPUNPCKHDQ Z30, Z7, Z9
	VPSRLQ $32, Z5, Z10
	VPSRLQ $32, Z6, Z11
	VPANDQ Z31, Z5, Z5
	VPANDQ Z31, Z6, Z6
	VPSLLVQ Z8, Z5, Z5
	VPSLLVQ Z9, Z6, Z6
	VPORQ Z10, Z5, Z5 // four codes; of eight lanes, the first of each two
	VPORQ Z11, Z6, Z6 // and the second of each two
	VPMADDWD Z28, Z1, Z1 // lengths of four
	VPUNPCKLQDQ Z6, Z5, Z7
	VPUNPCKHQDQ Z6, Z5, Z8
	VPSRLQ $32, Z1, Z2
	VPSLLVQ Z2, Z7, Z7
	VPORQ Z8, Z7, Z7 // eight codes
	VPADDD Z2, Z1, Z2 // lengths of eight
	VPCMPUD $6, Z14, Z2, K2
	KORTESTW K2, K2
	JNE codeLong
	VMOVDQA64 Z7, (SI)
	VMOVDQA64 Z2, lengths(SI)
	ADDQ $64, SI

codeNext:
	DECQ R10
	JNZ codeRun
	MOVQ R8, R11

codeWords:
	WORD(7)
	WORD(6)
	WORD(5)
	WORD(4)
	WORD(3)
	WORD(2)
	WORD(1)
	WORD(0)
	ADDQ $64, R11
	CMPQ R11, SI
	JNE codeWords
	TESTQ CX, CX
	JNZ codeRuns
	VZEROUPPER
	SUBQ out+0(FP), DI
	MOVQ DI, pos+48(FP)
	MOVQ DX, wordAfter+56(FP)
	MOVQ BX, nAfter+64(FP)
	RET

codeWide: // not all symbols are below 64
	VPMOVB2M Z0, K1
	LOOKUP(Z16, Z17, Z18, Z19, Z1)
	LOOKUP(Z20, Z21, Z22, Z23, Z2)
	LOOKUP(Z24, Z25, Z26, Z27, Z3)
	JMP codeTogether

codeLong: // the words of the later half are to be first
	VSHUFI64X2 $0xee, Z6, Z5, Z7
	VSHUFI64X2 $0xd8, Z7, Z7, Z7
	VSHUFI64X2 $0x44, Z6, Z5, Z8
	VSHUFI64X2 $0xd8, Z8, Z8, Z8
	VEXTRACTI64X4 $1, Z1, Y2
	VPMOVZXDQ Y2, Z2
	VPMOVZXDQ Y1, Z1
	VMOVDQA64 Z7, (SI)
	VMOVDQA64 Z2, lengths(SI)
	VMOVDQA64 Z8, 64(SI)
	VMOVDQA64 Z1, (lengths+64)(SI)
	ADDQ $128, SI
	JMP codeNext
