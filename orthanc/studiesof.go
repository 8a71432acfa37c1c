package orthanc

import (
	"context"

	"github.com/orthokeep/orthokeep/snapshot"
)

// StudiesOf returns Orthanc's identifiers of the studies that attachments belong to, of those that the index has: one pass over all attachments.
func (x *Index) StudiesOf(ctx context.Context, attachments []snapshot.UUID) (map[snapshot.UUID]string, error) {
	wanted := make(map[string]snapshot.UUID, len(attachments))
	for _, id := range attachments {
		wanted[id.String()] = id
	}
	type owned struct{ uuid, study string }
	const query = `SELECT substr(f.uuid, 1, 37), CASE r.resourceType WHEN 2 THEN r.publicId WHEN 3 THEN p.publicId WHEN 4 THEN g.publicId ELSE '' END
		FROM AttachedFiles f JOIN Resources r ON r.internalId = f.id
		LEFT JOIN Resources p ON p.internalId = r.parentId LEFT JOIN Resources g ON g.internalId = p.parentId`
	found := map[snapshot.UUID]string{}
	for o, err := range list(ctx, x, query, func(o *owned) []any { return []any{&o.uuid, &o.study} }) {
		if err != nil {
			return found, err
		}
		if id, ok := wanted[o.uuid]; ok && o.study != "" {
			found[id] = o.study
		}
	}
	return found, nil
}
