# The robot's configurations are those that tests/proxy tries with the real nginx.
FILESEXTRAPATHS:prepend := "${THISDIR}/../../../../proxy/flex:"
SRC_URI += "file://nginx-http.conf file://nginx-https.conf"

do_install:append() {
    sources=${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}
    install -m 0644 $sources/nginx-http.conf $sources/nginx-https.conf ${D}${sysconfdir}/nginx/
    rm -rf ${D}${sysconfdir}/nginx/conf.d
}
