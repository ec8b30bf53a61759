package directory

// ChangesRowsMax lets tests write more than a page.
const ChangesRowsMax = changesRowsMax

// NetworkFilesystem is how a folder's filesystem is judged by its magic number.
func NetworkFilesystem(magic uint32) bool { return networkFilesystems[magic] != "" }
