namespace Understory.Decoding.Tests;

internal static class Samples
{
    public static string[] Prompts { get; } =
    [
        "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
        "import os\nimport sys\n\n\nclass Config(object):\n    def __init__(self, path):\n        self.path = path\n",
        "def read_lines(path):\n    with open(path) as f:\n        for line in f:\n",
        "class Node:\n    def __init__(self, value, left=None, right=None):\n        self.value = value\n",
        "for i in range(10):\n    print(i)\nfor i in range(20):\n    print(",
        "import unittest\n\n\nclass TestThings(unittest.TestCase):\n    def test_one(self):\n",
        "# naïve café — ünïcödé ✓\nname = '日本語'\n",
        "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\ndef mul(a, b):\n",
    ];
}
