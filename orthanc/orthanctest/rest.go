package orthanctest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// System is what Orthanc says of itself at /system.
type System struct {
	Name, Version, DatabaseBackendPlugin, StorageAreaPlugin string
	DicomPort, HttpPort, DatabaseVersion, ApiVersion        int
	StorageCompression, OverwriteInstances                  bool
}

// Statistics is what Orthanc counts at /statistics. Sizes are in bytes.
type Statistics struct {
	CountPatients, CountStudies, CountSeries, CountInstances int64
	TotalDiskSize, TotalUncompressedSize                     int64 `json:",string"`
}

// Do sends a request and returns the body of the answer. A status other than 2xx is an error that names it.
func (s *Server) Do(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, s.URL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %w", method, path, StatusError(response.StatusCode))
	}
	return answer, nil
}

// StatusError is an HTTP status other than 2xx.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// get decodes the JSON answer to a GET into target.
func (s *Server) get(path string, target any) error {
	answer, err := s.Do(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, target); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// System returns what /system says.
func (s *Server) System() (System, error) {
	var system System
	return system, s.get("/system", &system)
}

// Statistics returns what /statistics says.
func (s *Server) Statistics() (Statistics, error) {
	var statistics Statistics
	return statistics, s.get("/statistics", &statistics)
}

// Upload stores a DICOM file and returns the Orthanc ID of its instance, also where it was stored already. An answer
// 200 with another status than Success or AlreadyStored is an error.
func (s *Server) Upload(data []byte) (string, error) {
	answer, err := s.Do(http.MethodPost, "/instances", data)
	if err != nil {
		return "", err
	}
	var stored struct{ ID, Status string }
	if err := json.Unmarshal(answer, &stored); err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	if stored.Status != "Success" && stored.Status != "AlreadyStored" {
		return "", fmt.Errorf("upload: Orthanc says %s", stored.Status)
	}
	return stored.ID, nil
}

// Delete deletes an instance.
func (s *Server) Delete(instance string) error {
	_, err := s.Do(http.MethodDelete, "/instances/"+instance, nil)
	return err
}

// Instances returns the Orthanc IDs of all instances.
func (s *Server) Instances() ([]string, error) {
	var instances []string
	return instances, s.get("/instances", &instances)
}

// AttachmentMD5 returns the MD5, in hexadecimal, that the index states for the DICOM file of an instance as it lies on disk.
func (s *Server) AttachmentMD5(instance string) (string, error) {
	md5, err := s.Do(http.MethodGet, "/instances/"+instance+"/attachments/dicom/compressed-md5", nil)
	return string(md5), err
}

// ReadAttachment returns the DICOM file of an instance, byte for byte as it lies in the storage area.
func (s *Server) ReadAttachment(instance string) ([]byte, error) {
	return s.Do(http.MethodGet, "/instances/"+instance+"/attachments/dicom/compressed-data", nil)
}
