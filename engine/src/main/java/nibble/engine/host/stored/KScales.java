package nibble.engine.host.stored;

/** The twelve bytes of eight scales and eight minima of 6 bits in a block of Q4_K or Q5_K, four numbers to a word. */
record KScales(int scales0, int scales4, int minima0, int minima4) {
    /** Those of groups 4 to 7 have two bits in the bytes of groups 0 to 3. */
    static KScales at(long at) {
        int a = Stored.integer(at);
        int b = Stored.integer(at + 4);
        int c = Stored.integer(at + 8);
        return new KScales(
                a & 0x3f3f3f3f,
                c & 0x0f0f0f0f | a >>> 2 & 0x30303030,
                b & 0x3f3f3f3f,
                c >>> 4 & 0x0f0f0f0f | b >>> 2 & 0x30303030);
    }

    int scale(int group) {
        return (group < 4 ? scales0 : scales4) >>> 8 * (group & 3) & 255;
    }

    int minimum(int group) {
        return (group < 4 ? minima0 : minima4) >>> 8 * (group & 3) & 255;
    }
}
