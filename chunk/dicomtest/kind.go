package dicomtest

// Kind is what kind of instances a study has.
type Kind int

// The kinds. Columns and rows are those of a full-size image.
const (
	CT       Kind = iota // 512x512, 12 bits in 16, smooth kernel
	CTSharp              // 512x512, 12 bits in 16, sharp kernel
	MR                   // 460x512, 16 bits
	CR                   // 2000x2500, 14 bits in 16, with an icon image
	US                   // 640x480, RGB of 8 bits, six frames
	MultiCT              // enhanced CT: 512x512, 12 bits in 16, 16 frames in one instance
	MultiMR              // enhanced MR: 256x256, 16 bits, 16 frames in one instance
	JPEG2000             // a CT with encapsulated pixel data, JPEG 2000 lossless; the code stream is noise in a real frame
	SR                   // a structured report: nested sequences, no pixel data
	kindCount
)

// Kinds are all kinds, in order.
func Kinds() []Kind {
	all := make([]Kind, kindCount)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

func (k Kind) String() string { return specs[k].name }

// A spec is what is fixed for a kind.
type spec struct {
	name       string
	modality   string
	sopClass   string
	model      string
	cols, rows int
	frames     int // 0: not a multi-frame object
	stored     int // bits stored; 16 allocated, 8 when stored is 8
	samples    int
	look       look
}

var specs = [kindCount]spec{
	CT: {
		name: "ct", modality: "CT", sopClass: "1.2.840.10008.5.1.4.1.1.2", model: "Phantom CT 64",
		cols: 512, rows: 512, stored: 12, samples: 1, look: smoothCT,
	},
	CTSharp: {
		name: "ct-sharp", modality: "CT", sopClass: "1.2.840.10008.5.1.4.1.1.2", model: "Phantom CT 64",
		cols: 512, rows: 512, stored: 12, samples: 1, look: sharpCT,
	},
	MR: {
		name: "mr", modality: "MR", sopClass: "1.2.840.10008.5.1.4.1.1.4", model: "Phantom MR 3T",
		cols: 460, rows: 512, stored: 16, samples: 1, look: mr,
	},
	CR: {
		name: "cr", modality: "CR", sopClass: "1.2.840.10008.5.1.4.1.1.1", model: "Phantom DR",
		cols: 2000, rows: 2500, stored: 14, samples: 1, look: radiograph,
	},
	US: {
		name: "us", modality: "US", sopClass: "1.2.840.10008.5.1.4.1.1.3.1", model: "Phantom US",
		cols: 640, rows: 480, frames: 6, stored: 8, samples: 3, look: ultrasound,
	},
	MultiCT: {
		name: "multi-ct", modality: "CT", sopClass: "1.2.840.10008.5.1.4.1.1.2.1", model: "Phantom CT 256",
		cols: 512, rows: 512, frames: 16, stored: 12, samples: 1, look: smoothCT,
	},
	MultiMR: {
		name: "multi-mr", modality: "MR", sopClass: "1.2.840.10008.5.1.4.1.1.4.1", model: "Phantom MR 3T",
		cols: 256, rows: 256, frames: 16, stored: 16, samples: 1, look: mr,
	},
	JPEG2000: {
		name: "jpeg2000", modality: "CT", sopClass: "1.2.840.10008.5.1.4.1.1.2", model: "Phantom CT 64",
		cols: 512, rows: 512, stored: 12, samples: 1,
	},
	SR: {
		name: "sr", modality: "SR", sopClass: "1.2.840.10008.5.1.4.1.1.88.22", model: "Phantom Reporting",
	},
}

// The first three were tuned on real series, which pixels_test.go names; the others have no such model.
var (
	smoothCT = look{
		air: 30, body: 1050, bone: 2300, airNoise: 60, bodyNoise: 400, spread: 2, fine: 0,
		texture: 40, drift: 4, width: 5, radius: 0.68, top: 4095,
	}
	sharpCT = look{
		air: 60, body: 1050, bone: 2300, airNoise: 130, bodyNoise: 300, spread: 1, fine: 20,
		texture: 10, drift: 0, width: 3, radius: 0.58, top: 4095,
	}
	mr = look{
		air: 10, body: 150, bone: 300, airNoise: 25, bodyNoise: 200, spread: 1, fine: 0,
		texture: 40, drift: 0, width: 3, radius: 0.8, top: 4095,
	}
	radiograph = look{
		air: 14000, body: 6000, bone: 3500, airNoise: 60, bodyNoise: 120, spread: 0.5, fine: 4,
		texture: 400, drift: 10, width: 3, radius: 1.1, top: 16383,
	}
	ultrasound = look{
		air: 0, body: 60, bone: 190, airNoise: 0, bodyNoise: 150, spread: 1, fine: 0,
		texture: 15, drift: 0, width: 3, radius: 0.8, top: 255,
	}
)
