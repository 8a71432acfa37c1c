// Package orthanctest runs a real Orthanc under test: a scratch folder, loopback ports, a written configuration, the
// real process. Tests call Start; programs without a testing.TB (the demonstration) call Find and Run.
//
// Where Orthanc comes from, in this order: the environment variable ORTHOKEEP_ORTHANC, `Orthanc` on PATH,
// /usr/sbin/Orthanc, the project's .cache/orthanc, which get-orthanc.sh beside this file fills from the distribution.
package orthanctest
