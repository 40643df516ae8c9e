package nibble.cluster.spark;

/** Has Spark say warnings and errors alone, unless the user has a configuration of log4j. */
final class SparkLog {
    private static final String PROPERTY = "log4j2.configurationFile";
    private static final String CONFIGURATION = "classpath:nibble/cluster/log4j2.properties";

    /** What executors get on their command line. */
    static final String EXECUTOR_OPTION = "-D" + PROPERTY + "=" + CONFIGURATION;

    private SparkLog() {}

    /** Before the first class of Spark is loaded. */
    static void quiet() {
        if (System.getProperty(PROPERTY) == null && System.getenv("LOG4J_CONFIGURATION_FILE") == null) {
            System.setProperty(PROPERTY, CONFIGURATION);
        }
    }
}
