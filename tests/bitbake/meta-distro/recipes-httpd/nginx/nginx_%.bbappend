FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI += "file://nginx-http.conf file://nginx-https.conf"

do_install:append() {
    install -m 0644 ${WORKDIR}/nginx-http.conf ${WORKDIR}/nginx-https.conf ${D}${sysconfdir}/nginx/
    rm ${D}${sysconfdir}/nginx/sites-available/default_server ${D}${sysconfdir}/nginx/nginx.conf
}
