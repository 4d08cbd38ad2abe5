SUMMARY = "The SQLite of the crate that wraps it, as a library like the distribution's"
LICENSE = "CLOSED"
# Which crate that is, and its checksum, our recipe knows.
require ../../../../../meta-auth-server/recipes-connectivity/opentrons-auth-server/opentrons-auth-server-crates.inc
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/cargo_home/bitbake"
B = "${WORKDIR}/build"

do_compile() {
    cp ${S}/libsqlite3-sys-*/sqlite3/sqlite3.[ch] .
    ${CC} ${CFLAGS} ${LDFLAGS} -O1 -shared -fPIC -Wl,-soname,libsqlite3.so.0 \
        -o libsqlite3.so.0 sqlite3.c -lm
}

do_install() {
    install -Dm 0755 libsqlite3.so.0 ${D}${libdir}/libsqlite3.so.0
    ln -s libsqlite3.so.0 ${D}${libdir}/libsqlite3.so
    install -Dm 0644 sqlite3.h ${D}${includedir}/sqlite3.h
    install -d ${D}${libdir}/pkgconfig
    cat > ${D}${libdir}/pkgconfig/sqlite3.pc <<EOF
prefix=${prefix}
libdir=${libdir}
includedir=${includedir}

Name: SQLite
Description: SQL database engine
Version: ${PV}
Libs: -L${libdir} -lsqlite3
Cflags: -I${includedir}
EOF
}
