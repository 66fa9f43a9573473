"""Where the files of photos lie in Django's storage, for those who write, read and delete them."""
