package nibble.hub.client;

/** Hears how a transfer goes; from several threads. */
public interface TransferListener {
    /** Says what is being done now, as "hashing" or "sending 3 files". */
    void stage(String what);

    /** Says how far the stage is, in bytes; may go back when a try fails. */
    void bytes(long done, long total);

    /**
     * Says something that the user should know while it goes on: that the hub is waited for, that the cache had to do.
     */
    default void note(String what) {}

    /** Does nothing. */
    TransferListener SILENT = new TransferListener() {
        @Override
        public void stage(String what) {}

        @Override
        public void bytes(long done, long total) {}
    };
}
