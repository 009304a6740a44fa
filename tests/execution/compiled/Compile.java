import java.io.*;
import java.util.*;
import javax.tools.*;

/** Compiles sets of Java sources in one warm process. Lines: class path, folder for classes, source files; by tabs. */
public class Compile {
    public static void main(String[] given) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            List<String> parts = Arrays.asList(line.split("\t"));
            List<String> options = List.of("-cp", parts.get(0), "-d", parts.get(1), "-proc:none", "-nowarn");
            StringWriter said = new StringWriter();
            boolean done = compiler.getTask(said, files, null, options, null,
                    files.getJavaFileObjectsFromStrings(parts.subList(2, parts.size()))).call();
            System.out.println(done ? "done" : said.toString().replace('\n', '|').replace("done", "d0ne"));
        }
    }
}
