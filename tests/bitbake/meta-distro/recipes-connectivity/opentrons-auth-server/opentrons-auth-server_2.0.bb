SUMMARY = "The server that ours takes the place of"
LICENSE = "CLOSED"
