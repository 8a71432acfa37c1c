package orthanc

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"os"
)

// drillAccess is how a drill reaches its Orthanc. It is made anew for every start.
type drillAccess struct {
	name, user, password string
	port                 int
}

func newDrillAccess() (drillAccess, error) {
	port, err := freePort()
	return drillAccess{name: "drill-" + rand.Text(), user: "drill", password: rand.Text(), port: port}, err
}

// freePort returns a loopback port that was free just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// drillSettings is the configuration of a drill. Nothing of the restored one is taken over: all that shapes index and storage
// area is known from the index itself (how each attachment is compressed, its type by number), and the rest could reach out,
// delete or run code. What a setting is by default is written here all the same where the drill relies on it.
//
//   - Name and RegisteredUsers are random and for one time: another server on that port is not taken for this one, and nobody
//     else on this machine reads from this one.
//   - HttpBindAddresses is the loopback address for an Orthanc that knows the setting. Others listen on every interface and, by
//     RemoteAccessAllowed, refuse what comes from elsewhere; where it is permitted they get a network of their own (launch).
//   - DicomServerEnabled is off, so that no modality finds the copy and sends to it; OrthancPeers and DicomModalities are
//     empty, here and in the database, so that the copy sends nothing either.
//   - Plugins and LuaScripts are empty: they forward, route and delete. The REST API runs no Lua and writes no files.
//   - MaximumPatientCount and MaximumStorageSize are 0, without limit: a limit would recycle patients at the start.
//   - ConcurrentJobs is 1, and SaveJobs off: with --no-jobs the jobs of the index are not resumed, and none is made.
//   - MaximumStorageCacheSize is 0, so that what is compared comes from the disk.
//   - HttpCompressionEnabled is off, and the pages for people too, since a program reads.
func drillSettings(a drillAccess, storage, index string) map[string]any {
	return map[string]any{
		"Name": a.name, "StorageDirectory": storage, "IndexDirectory": index,

		"HttpServerEnabled": true, "HttpPort": a.port, "HttpBindAddresses": []string{"127.0.0.1"}, "RemoteAccessAllowed": false, "SslEnabled": false,
		"AuthenticationEnabled": true, "RegisteredUsers": map[string]string{a.user: a.password},
		"HttpThreadsCount": 2 * drillWorkers, "HttpCompressionEnabled": false, "OrthancExplorerEnabled": false, "WebDavEnabled": false,

		"DicomServerEnabled": false, "DicomModalities": map[string]any{}, "DicomModalitiesInDatabase": false,
		"OrthancPeers": map[string]any{}, "OrthancPeersInDatabase": false,

		"Plugins": []string{}, "LuaScripts": []string{}, "ExecuteLuaEnabled": false, "RestApiWriteToFileSystemEnabled": false,

		"MaximumPatientCount": 0, "MaximumStorageSize": 0, "MaximumStorageCacheSize": 0,
		"ConcurrentJobs": 1, "SaveJobs": false,
	}
}

// writeDrillConfiguration writes it to a new file, readable by this user alone, over that of an earlier start.
func writeDrillConfiguration(path string, settings map[string]any) error {
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
