SUMMARY = "The configuration of meta-webserver's nginx, without the program"
LICENSE = "CLOSED"
INHIBIT_DEFAULT_DEPS = "1"
FILESEXTRAPATHS:prepend := "${WEBSERVER_NGINX}/files:"
SRC_URI = "file://nginx.conf file://default_server.site"

SOURCES = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

do_install() {
    install -Dm 0644 ${SOURCES}/nginx.conf ${D}${sysconfdir}/nginx/nginx.conf
    install -Dm 0644 ${SOURCES}/default_server.site ${D}${sysconfdir}/nginx/sites-available/default_server
    install -d ${D}${sysconfdir}/nginx/sites-enabled
    ln -s ../sites-available/default_server ${D}${sysconfdir}/nginx/sites-enabled/
    install -d ${D}${sysconfdir}/nginx/conf.d ${D}${sysconfdir}/nginx/server-conf.d
}
