package luatkv

// #cgo linux CFLAGS: -D_GNU_SOURCE
// #cgo linux LDFLAGS: -ldl
// #include "shim.h"
// #include <dlfcn.h>
//
// /* The library's path, or NULL if it is linked into the program. */
// static const char *kv_library_path(void)
// {
//     Dl_info info;
//     void *symbol = dlsym(RTLD_DEFAULT, "luat_kv_abi_version");
//     return symbol && dladdr(symbol, &info) ? info.dli_fname : NULL;
// }
import "C"

// Version returns the version of the C library, such as "0.1.0".
func Version() string { return C.GoString(C.luat_kv_version()) }

// checkABI compares the ABI of the loaded library with the ABI of the header that the package was compiled with.
func checkABI() error {
	abi := C.luat_kv_abi_version()
	if abi == C.KV_ABI_VERSION {
		return nil
	}
	path := "in this program"
	if at := C.kv_library_path(); at != nil {
		path = "at " + C.GoString(at)
	}
	return invalid("libluat_kv %s has ABI %d, and this package needs %d", path, uint32(abi), C.KV_ABI_VERSION)
}
