Console.WriteLine("understory");
